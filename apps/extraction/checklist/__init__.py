"""What has to be so before a service's old home goes. Every item is a check that looks for itself, with its evidence and its age.

`standing(service)` says how it stands, `run` checks again, `gate.checks` is what a decommissioning asks.
"""

from apps.extraction.checklist.looking import ItemStanding, run, standing

__all__ = ["ItemStanding", "run", "standing"]
