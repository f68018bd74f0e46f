"""PostgreSQL as an operator uses it: logical replication, fences, locks, dumps. Connections that serve people are Django's."""
