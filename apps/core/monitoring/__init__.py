"""Metrics of the processes, the databases and the broker, and their exposition to Prometheus."""
