"""A service's canary: the counts of both sides' calls (`observer`, `queries`), and the actions (`controller`)."""
