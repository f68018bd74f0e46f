"""Every action by its name, as the command line and the admin offer them."""

from __future__ import annotations

from collections.abc import Callable

from apps.extraction.relocation import actions, rehearsal
from apps.extraction.relocation.actions import By
from apps.extraction.state.models import Move
from apps.extraction.state.stages import Stage

VERBS: dict[str, Callable[[str, By], Move]] = {
    "prepare": actions.prepare_home,
    "rehearse": rehearsal.rehearse,
    "sync": actions.sync,
    "verify": actions.verify,
    "cutover": actions.cutover,
    "rollback": actions.rollback,
    "commit": actions.commit,
    "decommission": actions.decommission,
    "resume": actions.resume,
    "abort": actions.abort,
}
AT_HOME = ("prepare", "rehearse", "sync")
# What makes sense at each stage; whether it is allowed now, its checks say.
NEXT: dict[Stage, tuple[str, ...]] = {
    Stage.IN_PROCESS: AT_HOME,
    Stage.SHADOW: AT_HOME,
    Stage.CANARY: AT_HOME,
    Stage.REMOTE: AT_HOME,
    Stage.SYNCING: ("verify", "abort"),
    Stage.VERIFIED: ("cutover", "verify", "abort"),
    Stage.CUTTING: ("resume", "abort"),
    Stage.REVERSIBLE: ("rollback", "commit"),
    Stage.COMMITTED: ("decommission",),
    Stage.DECOMMISSIONED: (),
}
