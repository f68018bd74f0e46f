"""Django's PostgreSQL backend without two of its costs (named as ENGINE in the settings); primaries and replicas."""
