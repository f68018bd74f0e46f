"""The demonstration: one whole land sale through the public REST API, as any external client would do it."""
