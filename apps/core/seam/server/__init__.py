"""The answering end of the seam: the HTTP endpoint, the dispatcher, commands once by key, the tables of a service."""
