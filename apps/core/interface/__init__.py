"""The modules that an app's `interface.py` may import: types, errors, contexts, operations, events. No Django."""
