"""Which share of people is served remotely, what shadowing finds, and the canary that raises the share."""
