"""Where a service's migration stands, and the record of every action that brought it there."""
