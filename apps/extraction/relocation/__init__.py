"""The move of a service's data to a database of its own and back: preconditions, the two commits, recovery, rehearsal."""
