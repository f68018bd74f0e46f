"""Checks that a service fits its interface: at start-up, over the wire, and in tests."""
