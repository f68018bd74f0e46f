"""Every action on a service by name, its plan, and the run that leads one service through all six phases."""
