"""The share of people that is served remotely, shadow comparisons, and the canary that raises the share."""
