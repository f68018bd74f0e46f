"""Relocates a service's data to its own database and back: preconditions, the two commits, recovery, rehearsal."""
