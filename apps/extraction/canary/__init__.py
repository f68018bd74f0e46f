"""A service's canary: what the sides' calls show (`observer`, `gathering`), and who is sent where because of it (`steering`)."""
