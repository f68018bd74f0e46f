"""The six phases of a migration, which stages belong to each, and what a person decides in it. The playbook has a page for each."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from apps.extraction.state.stages import Stage


class Phase(NamedTuple):
    """A phase: its place among the six, its words, its page in `migrations_playbook/`."""

    number: int
    name: str
    words: Any
    page: str


APART = Phase(1, "apart", _("apart: the service runs in a process of its own and answers"), "1-apart.md")
SHADOW = Phase(2, "shadow", _("shadow: people's queries are asked of both sides and compared"), "2-shadow.md")
CANARY = Phase(3, "canary", _("canary: a rising share of people, judged at every step"), "3-canary.md")
COPY = Phase(4, "copy", _("copy: rows copied to a database of its own, followed, and compared"), "4-copy.md")
CUTOVER = Phase(
    5, "cutover", _("cutover: the service's own database becomes the home, and can go back"), "5-cutover.md"
)
ENDING = Phase(6, "ending", _("ending: committed for good, the old home decommissioned"), "6-ending.md")
PHASES = (APART, SHADOW, CANARY, COPY, CUTOVER, ENDING)

PHASE_OF: dict[Stage, Phase] = {
    Stage.IN_PROCESS: APART,
    Stage.SHADOW: SHADOW,
    Stage.CANARY: CANARY,
    Stage.REMOTE: COPY,
    Stage.SYNCING: COPY,
    Stage.VERIFIED: CUTOVER,
    Stage.CUTTING: CUTOVER,
    Stage.REVERSIBLE: ENDING,
    Stage.COMMITTED: ENDING,
    Stage.DECOMMISSIONED: ENDING,
}


class Decision(enum.StrEnum):
    """What only a person decides: after it, going back costs more than before."""

    CANARY = "canary"
    AGAIN = "canary-again"
    CUTOVER = "cutover"
    COMMIT = "commit"
    DECOMMISSION = "decommission"


QUESTIONS: dict[Decision, Any] = {
    Decision.CANARY: _("Send the first people to the lifted-out process? Until the cutover going back is a flag."),
    Decision.AGAIN: _("The last canary was rolled back. Send people to the lifted-out process once more?"),
    Decision.CUTOVER: _(
        "Make its own database the home? Writes wait for some milliseconds; going back is the same again."
    ),
    Decision.COMMIT: _("Commit for good? After this the way back is a backup."),
    Decision.DECOMMISSION: _(
        "Decommission the old home? Its tables are backed up, the backup is compared, then they are dropped."
    ),
}
