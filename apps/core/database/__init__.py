"""Django's PostgreSQL backend with two costs taken out; named as ENGINE in the settings."""
