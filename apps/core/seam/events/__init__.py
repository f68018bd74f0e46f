"""Delivery of outboxes, and the trace that a request leaves in them."""
