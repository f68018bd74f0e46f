"""What is measured of the processes and asked of the databases, and how it is given to Prometheus."""
