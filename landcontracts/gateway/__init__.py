"""The table of public routes, and the gateways' configurations that are rendered from it.

`table.py` has the routes, `deployment.py` the differences between installations; `kong.py` and `envoy/` render both for
each gateway. The seam decides whether a call is local or remote, once: nothing here divides traffic.
"""
