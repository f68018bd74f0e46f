"""The actions of a relocation, in the order of a migration; the command line, the admin and the pipeline perform these.

prepare -> sync -> verify -> cutover <-> rollback -> commit; resume and abort end an action that was left half-way
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from apps.extraction.relocation import preconditions, procedures, synchronisation
from apps.extraction.state.action import Action
from apps.extraction.state.stages import Stage

NONE_FELT = _("none that people notice")
ENDS_A_PAUSE = _("none new: it ends a pause")
SERVED = (Stage.IN_PROCESS, Stage.SHADOW, Stage.CANARY, Stage.REMOTE)
_SWITCH_LOCKS = _("EXCLUSIVE on all tables, requested for at most 50 ms; from close to open writes and reads wait")
_SWITCH_DANGERS = (
    _("a table is held longer than 50 ms: nothing was closed; tried again, at most 40 times"),
    _("the marker takes longer than 80 ms: the old primary is opened again; tried again"),
    _(
        "the leading process dies between close and open: writes wait; the worker finishes the cutover "
        "after a few seconds"
    ),
    _("a server dies between close and open: writes wait until it is back, then the cutover is finished"),
)
PREPARE = Action(
    name="prepare",
    label=_("Make its tables"),
    effect=_("Its tables are created in its own database. People notice nothing."),
    stages=SERVED,
    checks=synchronisation.prepare_checks,
    procedure=synchronisation.prepare,
    locks=NONE_FELT,
)
SYNC = Action(
    name="sync",
    label=_("Copy and follow"),
    effect=_(
        "Every row is copied to its own database, which follows every change from then on. People notice nothing."
    ),
    stages=SERVED,
    leaves=Stage.SYNCING,
    checks=synchronisation.sync_checks,
    procedure=synchronisation.sync,
    locks=NONE_FELT,
    dangers=(
        _("the copy's process dies: its slot goes with it; the worker begins anew, at most three times"),
        _("the slot makes the source keep too much log: the slot is dropped and the record says so"),
    ),
)
VERIFY = Action(
    name="verify",
    label=_("Compare every row"),
    effect=_("Every row is compared on both sides, then every row that changes."),
    stages=(Stage.SYNCING, Stage.VERIFIED),
    leaves=Stage.VERIFIED,
    procedure=synchronisation.verify,
    locks=_("none; it gives way while people keep the source busy"),
    dangers=(_("rows differ: each is named with its fields, and a cutover is refused"),),
)
CUTOVER = Action(
    name="cutover",
    label=_("Cut over"),
    effect=_("Its own database becomes the primary. Writes wait for some milliseconds; it can go back without loss."),
    stages=(Stage.VERIFIED,),
    leaves=Stage.REVERSIBLE,
    checks=lambda run: preconditions.before_cutover(run.pair, run.observed),
    procedure=procedures.cut_over,
    locks=_SWITCH_LOCKS,
    dangers=_SWITCH_DANGERS,
    leads=True,
    destroys=True,
    switches=True,
)
ROLLBACK = Action(
    name="rollback",
    label=_("Roll back"),
    effect=_("The shared database becomes the primary again, with every write made since."),
    stages=(Stage.REVERSIBLE,),
    leaves=Stage.SYNCING,
    checks=lambda run: preconditions.before_rollback(run.pair, run.observed),
    procedure=procedures.roll_back,
    locks=_SWITCH_LOCKS,
    dangers=_SWITCH_DANGERS,
    leads=True,
    destroys=True,
    switches=True,
)
COMMIT = Action(
    name="commit",
    label=_("Commit for good"),
    effect=_("The way back is given up: afterwards the only one is a backup."),
    stages=(Stage.REVERSIBLE,),
    leaves=Stage.COMMITTED,
    checks=lambda run: preconditions.before_commit(run.pair, run.observed),
    procedure=procedures.commit,
    locks=NONE_FELT,
    dangers=(_("you want to go back later: there is no way back from here without loss"),),
    leads=True,
    destroys=True,
)
RESUME = Action(
    name="resume",
    label=_("Go on"),
    effect=_("What was left half-way is finished."),
    stages=(Stage.CUTTING,),
    procedure=procedures.resume,
    locks=ENDS_A_PAUSE,
    dangers=(_("the marker does not arrive: the old primary is opened again"),),
    leads=True,
    is_way_out=True,
)
ABORT = Action(
    name="abort",
    label=_("Abort"),
    effect=_("What is under way is taken back: the data stay, or are again, where they were before."),
    stages=(Stage.SYNCING, Stage.VERIFIED, Stage.CUTTING),
    checks=procedures.abort_checks,
    procedure=procedures.abort,
    locks=ENDS_A_PAUSE,
    dangers=(_("the other database was opened already: then it is the primary, and rollback is the way back"),),
    leads=True,
    destroys=True,
    is_way_out=True,
)
