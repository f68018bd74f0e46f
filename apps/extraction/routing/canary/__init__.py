"""A service's canary: the calls that both sides answered (`observer`, `queries`), and what follows from them (`controller`)."""
