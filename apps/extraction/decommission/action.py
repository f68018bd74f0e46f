"""The last action of a migration: check the checklist, back up the old tables, compare the backup, drop the tables."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from apps.extraction.decommission import old_tables, requirements
from apps.extraction.state.action import Action, Run, Step
from apps.extraction.state.checks import Check
from apps.extraction.state.stages import Stage

CHECKLIST = Step(
    "checklist",
    _("checklist: items that take only seconds are checked again; the others have to be recent"),
)


def checks(run: Run) -> list[Check]:
    """The stage and the tools, then every item of the checklist."""
    listed = run.do(CHECKLIST, lambda: requirements.checks(run.service, run.initiator.who))
    if listed is None:
        listed = requirements.shown(run.service)
    return [*old_tables.before(run.pair, run.observed), *listed]


def decommission(run: Run) -> None:
    """Use up the overrides that were needed, then drop the old tables.

    Raises: NotOverridden, NotDecommissioned, BackupFailed.
    """
    if not run.is_dry:
        run.note(facts={"passed_over": requirements.use_overrides(run.service, run.checks, run.record_id)})
    old_tables.back_up_and_drop(run)


DECOMMISSION = Action(
    name="decommission",
    label=_("Decommission the old tables"),
    effect=_("The old tables are backed up, the backup is restored and compared, then they are dropped."),
    stages=(Stage.COMMITTED,),
    leaves=Stage.DECOMMISSIONED,
    checks=checks,
    procedure=decommission,
    locks=_("ACCESS EXCLUSIVE on tables that are no longer in use"),
    dangers=(_("the restored backup is not the same: nothing is dropped"),),
    leads=True,
    destroys=True,
)
