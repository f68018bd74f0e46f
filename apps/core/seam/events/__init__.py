"""Delivery of outboxes, and the trace that one request has left in them."""
