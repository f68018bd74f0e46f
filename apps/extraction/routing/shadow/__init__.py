"""Comparisons of both sides' answers: kept masked, and counted."""
