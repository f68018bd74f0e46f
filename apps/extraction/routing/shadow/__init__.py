"""Comparisons of both sides' answers: stored masked, and counted."""
