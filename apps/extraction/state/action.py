"""An action on a service's data: one record that says everything of it, and the two ways to go through its procedure.

`Action.perform` does it: alone where it leads, checked first, every step in the journal. `Action.plan` goes through the same
procedure and does nothing: the steps of a plan are the steps that would run now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from django.db import DatabaseError

from apps.core.interface.errors import DomainError
from apps.core.postgres import connections, pg_dump, replication
from apps.core.postgres.leadership import AnotherLeads, leading
from apps.core.postgres.migrate_service import NotPrepared
from apps.extraction.state import checks, epochs, stages
from apps.extraction.state.checks import ActionFailed, Check, Refused
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.journal import Journal
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import Observed, Pair, Stage

# What `perform` raises. Anything else is a defect of ours.
FAILURES = (
    *(ActionFailed, AnotherLeads, NotPrepared, DomainError, replication.TooSlow, pg_dump.BackupFailed),
    *(stages.TwoPrimaries, connections.NoWay, psycopg.Error, DatabaseError),
)
Answer = TypeVar("Answer")


class Step(NamedTuple):
    """A step: its name in the record, and what it does, in the reader's language, for a plan. `words` begin with the name."""

    name: str
    words: Any


class Run:
    """One passage through an action's procedure. Steps are done here; `DryRun` only notes them.

    `found` are connections to both databases where the action leads. `epoch` is its own; `anew` wants what was done before done again;
    `checks` are those that held.
    """

    is_dry = False

    def __init__(
        self, service: str, by: Initiator, *, found: Pair | None = None, epoch: int = 0, anew: bool = False
    ) -> None:
        self.service, self.by, self.epoch, self.anew = service, by, epoch, anew
        self.checks: list[Check] = []
        self._found = found

    @property
    def found(self) -> Pair:
        """Both databases, of an action that leads."""
        assert self._found is not None, "only an action that leads holds both databases"
        return self._found

    @contextmanager
    def both(self) -> Iterator[Pair]:
        """Both databases for a moment, of an action that does not lead. Raises: NoWay, psycopg.OperationalError."""
        if self._found is not None:
            yield self._found
            return
        with stages.pair(self.service) as found:
            yield found

    @cached_property
    def observed(self) -> Observed:
        """Where the service stood when it was first asked. Raises: TwoHomes, NoWay, psycopg.OperationalError."""
        with self.both() as found:
            return stages.observe_with(found)

    def do(self, step: Step, work: Callable[[], Answer], detail: str = "") -> Answer | None:
        """Do a step and return what its work returns; a dry run returns None."""
        raise NotImplementedError

    def quietly(self) -> AbstractContextManager[None]:
        """While the context lasts, steps are written to no database: people wait."""
        return nullcontext()

    def note(self, *, facts: dict[str, Any] | None = None, **fields: Any) -> None:
        """Fields of the record: epoch, attempts, pause_ms, checks; and facts, beside those that are there."""

    @property
    def record_id(self) -> UUID:
        """The id of the action's record; a dry run has none."""
        raise NotImplementedError

    def tell(self, line: str) -> None:
        """A line for the person who watches."""


class RealRun(Run):
    """The passage that does it."""

    def __init__(self, journal: Journal, by: Initiator, **given: Any) -> None:
        super().__init__(journal.move.service, by, **given)
        self._journal = journal

    def do(self, step: Step, work: Callable[[], Answer], detail: str = "") -> Answer | None:
        """Do it, in the journal."""
        with self._journal.step(step.name, detail):
            return work()

    def quietly(self) -> AbstractContextManager[None]:
        """The journal keeps the steps in memory until the context ends."""
        return self._journal.quietly()

    def note(self, *, facts: dict[str, Any] | None = None, **fields: Any) -> None:
        """In the record, at once; facts beside those that are there."""
        if facts:
            fields["facts"] = {**self._journal.move.facts, **facts}
        self._journal.note(**fields)

    @property
    def record_id(self) -> UUID:
        """The record's id."""
        return self._journal.move.id

    def tell(self, line: str) -> None:
        """To the initiator."""
        self._journal.tell(line)


class DryRun(Run):
    """The passage that notes the steps and does none of them. The procedure reads the databases, and writes nothing outside of `do`."""

    is_dry = True

    def __init__(self, service: str, found: Pair | None = None) -> None:
        super().__init__(service, Initiator("", "plan"), found=found)
        self.steps: list[Step] = []

    def do(self, step: Step, work: Callable[[], Answer], detail: str = "") -> None:
        """Note it."""
        if step not in self.steps:
            self.steps.append(step)


class Plan(NamedTuple):
    """What an action would do now: its steps, the locks that people could feel, what can go wrong and what happens then, its checks."""

    steps: tuple[Step, ...]
    locks: Any
    dangers: tuple[Any, ...]
    checks: list[Check]


@dataclass(frozen=True, kw_only=True)
class Action:
    """Everything there is to say of one action.

    `stages`: from which it makes sense; whether it is allowed now, `checks` say. `leaves`: the stage after it, None where it depends.
    `procedure` does its steps by `Run.do`. `leads`: no other action that leads runs meanwhile. `destroys`: it takes something away
    from people, or for good. `is_way_out`: out of whatever was left half-way, whatever the stage seems to be. `switches`: while it
    runs, people wait to write.
    """

    name: str
    label: Any
    effect: Any
    stages: tuple[Stage, ...]
    leaves: Stage | None = None
    procedure: Callable[[Run], None]
    checks: Callable[[Run], list[Check]] = lambda _: []
    locks: Any = ""
    dangers: tuple[Any, ...] = ()
    leads: bool = False
    destroys: bool = False
    is_way_out: bool = False
    switches: bool = False

    def perform(self, service: str, by: Initiator, *, anew: bool = False) -> Move:
        """Do it; its record. Raises: FAILURES, after the record was signed off."""
        with self._recorded(service, by) as journal:
            if not self.leads:
                self._go_through(RealRun(journal, by, anew=anew))
                return journal.move
            with (
                leading(service, f"{self.name} by {by.who}", take_over=by.take_over),
                stages.pair(service) as found,
            ):
                self._go_through(RealRun(journal, by, found=found, epoch=epochs.take(found), anew=anew))
        return journal.move

    def plan(self, found: Pair) -> Plan:
        """What it would do now. Nothing is changed. Raises: TwoHomes, NoWay, psycopg.OperationalError."""
        dry = DryRun(found.service, found)
        made = self.checks(dry)
        self.procedure(dry)
        return Plan(tuple(dry.steps), self.locks, self.dangers, made)

    def _go_through(self, run: Run) -> None:
        made = self.checks(run)
        if made:
            run.note(checks=[check._asdict() for check in made])
        for line in checks.lines(made):
            run.tell(line)
        checks.require(made)
        run.checks = made
        self.procedure(run)

    @contextmanager
    def _recorded(self, service: str, by: Initiator) -> Iterator[Journal]:
        """Its record, signed off however it ends."""
        journal = Journal(
            service,
            self.name,
            asked=by.asked,
            who=by.who,
            where=by.where,
            reason=by.reason,
            tell=by.tell,
            stop_before=by.stop_before,
        )
        try:
            yield journal
        except Refused as refusal:
            journal.end(Outcome.REFUSED, str(refusal))
            raise
        except BaseException as error:
            journal.end(Outcome.FAILED, f"{type(error).__name__}: {error}")
            raise
        journal.end(Outcome.DONE)
