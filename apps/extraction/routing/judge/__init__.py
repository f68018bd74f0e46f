"""The canary's judge: counts in, a ruling with its reasons out.

No database, no clock, no Django, so that it can be simulated.
"""
