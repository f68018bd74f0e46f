"""Every action by its name, as the command line and the admin offer them."""

from __future__ import annotations

from collections.abc import Callable

from apps.extraction.models import Move
from apps.extraction.moving import acting, rehearsing
from apps.extraction.moving.acting import By
from apps.extraction.moving.states import Stage

VERBS: dict[str, Callable[[str, By], Move]] = {
    "prepare": acting.prepare_home,
    "rehearse": rehearsing.rehearse,
    "sync": acting.sync,
    "verify": acting.verify,
    "cutover": acting.cutover,
    "rollback": acting.rollback,
    "commit": acting.commit,
    "decommission": acting.decommission,
    "resume": acting.resume,
    "abort": acting.abort,
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
