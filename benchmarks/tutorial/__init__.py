"""The peer: what the Django, DRF and simplejwt tutorials would write for the same tables. Nothing of ours is imported."""
