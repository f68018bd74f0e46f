"""What an app's `interface.py` may import: shapes, errors, contexts, operations, events. No Django."""
