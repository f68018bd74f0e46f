"""The demonstration: one whole land sale through the public REST API, as a stranger's client would do it."""
