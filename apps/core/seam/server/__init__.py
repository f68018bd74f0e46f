"""The answering end of the seam: the HTTP endpoint, the dispatcher, the command log, the tables of a service."""
