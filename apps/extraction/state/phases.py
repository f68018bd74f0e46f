"""The six phases and the ten stages of a migration, a record for each. The playbook has a page for each phase."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple, Self

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.extraction.state.stages import Stage


class Decision(enum.StrEnum):
    """A decision that only a person takes, and the question: after it, going back costs more than before."""

    question: Any

    CANARY = (
        "canary",
        _("Send the first people to the lifted-out process? Until the cutover going back is a flag."),
    )
    AGAIN = (
        "canary-again",
        _("The last canary was rolled back. Send people to the lifted-out process once more?"),
    )
    CUTOVER = (
        "cutover",
        _("Make its own database the primary? Writes wait for some milliseconds; going back is the same again."),
    )
    COMMIT = ("commit", _("Commit for good? After this the way back is a backup."))
    DECOMMISSION = (
        "decommission",
        _("Decommission the old tables? They are backed up, the backup is compared, then they are dropped."),
    )

    def __new__(cls, value: str, question: Any) -> Self:
        """A member from its value and its question."""
        member = str.__new__(cls, value)
        member._value_, member.question = value, question
        return member


class Phase(NamedTuple):
    """A phase: its number, its description, its page in `migrations_playbook/`, the decisions a person takes in it."""

    number: int
    name: str
    words: Any
    page: str
    decisions: tuple[Decision, ...] = ()


APART = Phase(1, "apart", _("apart: the service runs in a process of its own and answers"), "1-apart.md")
SHADOW = Phase(2, "shadow", _("shadow: people's queries are asked of both sides and compared"), "2-shadow.md")
CANARY = Phase(
    3, "canary", _("canary: a rising share of people, judged at every step"), "3-canary.md", (Decision.CANARY,)
)
COPY = Phase(4, "copy", _("copy: rows copied to a database of its own, followed, and compared"), "4-copy.md")
CUTOVER = Phase(
    5,
    "cutover",
    _("cutover: the service's own database becomes the primary, and can go back"),
    "5-cutover.md",
    (Decision.CUTOVER,),
)
ENDING = Phase(
    6,
    "ending",
    _("ending: committed for good, the old tables decommissioned"),
    "6-ending.md",
    (Decision.COMMIT, Decision.DECOMMISSION),
)
PHASES = (APART, SHADOW, CANARY, COPY, CUTOVER, ENDING)


class StageFacts(NamedTuple):
    """A stage: its label, a short label of some 80 pixels, a sentence, its phase, what waits for a person."""

    label: Any
    short: Any
    sentence: Any
    phase: Phase
    waits: Any = ""


STAGES: dict[Stage, StageFacts] = {
    Stage.IN_PROCESS: StageFacts(
        _("in the process"),
        pgettext_lazy("stage", "in process"),
        _("Everything is answered inside the platform's own process."),
        APART,
    ),
    Stage.SHADOW: StageFacts(
        _("shadowed"),
        pgettext_lazy("stage", "shadow"),
        _("People are served locally; some of their queries are asked of the remote process as well."),
        SHADOW,
    ),
    Stage.CANARY: StageFacts(
        _("canary"),
        pgettext_lazy("stage", "canary"),
        _("A share of people is answered by the lifted-out process."),
        CANARY,
    ),
    Stage.REMOTE: StageFacts(
        _("remote"),
        pgettext_lazy("stage", "remote"),
        _("Everybody is answered by the lifted-out process. The data are still in the shared database."),
        COPY,
    ),
    Stage.SYNCING: StageFacts(
        _("being copied"),
        pgettext_lazy("stage", "copying"),
        _("Rows are being copied to the service's own database, which then follows."),
        COPY,
    ),
    Stage.VERIFIED: StageFacts(
        _("verified"),
        pgettext_lazy("stage", "verified"),
        _("Its own database follows, and every row was found the same. It can be cut over."),
        CUTOVER,
        _("Ready: decide on the cutover."),
    ),
    Stage.CUTTING: StageFacts(
        _("between two primaries"),
        pgettext_lazy("stage", "cutover"),
        _("Between two databases: writes wait until the cutover is finished or taken back."),
        CUTOVER,
        _("Writes wait. The worker finishes the cutover within seconds; if it does not, resume or abort."),
    ),
    Stage.REVERSIBLE: StageFacts(
        _("relocated, reversible"),
        pgettext_lazy("stage", "reversible"),
        _("The data are in its own database; the shared one follows, so that going back loses nothing."),
        ENDING,
        _("Relocated: commit for good when you are sure, or roll back."),
    ),
    Stage.COMMITTED: StageFacts(
        _("relocated for good"),
        pgettext_lazy("stage", "committed"),
        _("The data are in its own database for good; the old tables are still there, closed."),
        ENDING,
        _("Relocated for good: the old tables can be decommissioned."),
    ),
    Stage.DECOMMISSIONED: StageFacts(
        _("old tables decommissioned"),
        pgettext_lazy("stage", "old tables dropped"),
        _("The old tables are gone, after a backup of them was restored and compared."),
        ENDING,
    ),
}
