"""The peer: what the tutorials of Django, DRF and simplejwt would write for our tables. Imports nothing of ours."""
