"""What the world may reach, in one table, and the gateways' configurations that are rendered from it.

`table.py` names the routes, `deployment.py` what differs between installations; `kong.py` and `envoy/` write the same of both for
either gateway. Whether a service is asked at home or apart is the seam's decision, made once: nothing here divides traffic.
"""
