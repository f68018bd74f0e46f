"""A private PostgreSQL, Valkey and S3 from wheels, with web server and worker, for machines that have none of them.

The same engines as in production and the same environment variables; where a variable is set already, that server is used.
"""
