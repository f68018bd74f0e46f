"""Runs a private PostgreSQL, Valkey and S3 from wheels, with web server and worker, on machines that have none of them.

The engines and the environment variables are those of production; where a variable is already set, its server is used.
"""
