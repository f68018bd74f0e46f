"""The canary's judge: counts in, a ruling with its reasons out. No database, no clock, no Django: the same code is simulated a thousand times."""
