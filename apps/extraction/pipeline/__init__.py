"""Every action on a service by name, its plan, and the run that takes one service through all six phases."""
