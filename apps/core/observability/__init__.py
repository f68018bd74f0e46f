"""Knowing what goes on: who a log line is about, what it may not say, and spans of a trace that crosses processes."""
