"""PostgreSQL for operators: logical replication, fences, locks, dumps. Connections that serve requests are Django's."""
