"""The peer: code as in the tutorials of Django, DRF and simplejwt, on the platform's tables. Imports nothing of it."""
