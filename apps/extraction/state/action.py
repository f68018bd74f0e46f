"""An action on a service's data: the record that describes it, and the two ways to go through its procedure.

`Action.perform` does it: alone if it leads, after its checks, with every step in the journal. `Action.plan` goes
through the same procedure and changes nothing: the steps of a plan are the steps that would run now.
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
from apps.core.postgres import advisory_locks, connections, pg_dump, replication
from apps.core.postgres.leadership import AnotherLeads, leading
from apps.core.postgres.migrate_service import NotPrepared
from apps.extraction.state import checks, epochs, stages
from apps.extraction.state.checks import ActionFailed, Check, Refused
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.journal import Journal
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import Observed, Pair, Stage

# What `perform` raises. Any other exception is a defect of this code.
FAILURES = (
    *(ActionFailed, AnotherLeads, NotPrepared, DomainError, replication.TooSlow, pg_dump.BackupFailed),
    *(stages.TwoPrimaries, connections.NoWay, psycopg.Error, DatabaseError),
)
Result = TypeVar("Result")


class Step(NamedTuple):
    """A step: its name in the record, and `words` for a plan, in the reader's language, which begin with the name."""

    name: str
    words: Any


class Run:
    """One passage through an action's procedure. `RealRun` does the steps; `DryRun` only notes them.

    `pair` holds connections to both databases if the action leads. `epoch` is the epoch of this run; `anew` asks for
    work that was done before to be done again; `checks` are the checks that held.
    """

    is_dry = False

    def __init__(
        self, service: str, initiator: Initiator, *, pair: Pair | None = None, epoch: int = 0, anew: bool = False
    ) -> None:
        self.service, self.initiator, self.epoch, self.anew = service, initiator, epoch, anew
        self.checks: list[Check] = []
        self._pair = pair

    @property
    def pair(self) -> Pair:
        """Connections to both databases; only an action that leads has them."""
        assert self._pair is not None, "only an action that leads holds both databases"
        return self._pair

    @contextmanager
    def both(self) -> Iterator[Pair]:
        """Connections to both databases, opened for this context unless the run holds them.

        Raises: NoWay, psycopg.OperationalError.
        """
        if self._pair is not None:
            yield self._pair
            return
        with stages.pair(self.service) as pair:
            yield pair

    @cached_property
    def observed(self) -> Observed:
        """The service's state when this was first read. Raises: TwoPrimaries, NoWay, psycopg.OperationalError."""
        with self.both() as pair:
            return stages.observe_with(pair)

    def do(self, step: Step, work: Callable[[], Result], detail: str = "") -> Result | None:
        """Do a step and return what its work returns; a dry run returns None."""
        raise NotImplementedError

    def quietly(self) -> AbstractContextManager[None]:
        """While the context lasts, steps are written to no database: writes are waiting."""
        return nullcontext()

    def switch_lock(self) -> AbstractContextManager[None]:
        """Keeps the service's comparisons still while its primary changes; a dry run takes no lock."""
        return nullcontext()

    def note(self, *, facts: dict[str, Any] | None = None, **fields: Any) -> None:
        """Set fields of the record (epoch, attempts, pause_ms, checks) and add `facts` to those it has."""

    @property
    def record_id(self) -> UUID:
        """The id of the action's record; a dry run has no record."""
        raise NotImplementedError

    def write_line(self, line: str) -> None:
        """Write a line for the person who watches."""


class RealRun(Run):
    """The passage that does the steps."""

    def __init__(self, journal: Journal, initiator: Initiator, **options: Any) -> None:
        super().__init__(journal.move.service, initiator, **options)
        self._journal = journal

    def do(self, step: Step, work: Callable[[], Result], detail: str = "") -> Result | None:
        """Do the step, with its duration in the journal."""
        with self._journal.step(step.name, detail):
            return work()

    def quietly(self) -> AbstractContextManager[None]:
        """The journal keeps the steps in memory until the context ends."""
        return self._journal.quietly()

    def switch_lock(self) -> AbstractContextManager[None]:
        """An advisory lock on the shared database."""
        return advisory_locks.during_switch(self.pair.shared, self.service)

    def note(self, *, facts: dict[str, Any] | None = None, **fields: Any) -> None:
        """Save the fields at once; facts are added to those the record has."""
        if facts:
            fields["facts"] = {**self._journal.move.facts, **facts}
        self._journal.note(**fields)

    @property
    def record_id(self) -> UUID:
        """The record's id."""
        return self._journal.move.id

    def write_line(self, line: str) -> None:
        """Write a line to the initiator."""
        self._journal.write_line(line)


class DryRun(Run):
    """The passage that notes the steps and does none of them.

    The procedure may read the databases, and writes only inside `do`.
    """

    is_dry = True

    def __init__(self, service: str, pair: Pair | None = None) -> None:
        super().__init__(service, Initiator("", "plan"), pair=pair)
        self.steps: list[Step] = []

    def do(self, step: Step, work: Callable[[], Result], detail: str = "") -> None:
        """Note the step."""
        if step not in self.steps:
            self.steps.append(step)


class Plan(NamedTuple):
    """What an action would do now: its steps, the locks that people could notice, what can go wrong, its checks."""

    steps: tuple[Step, ...]
    locks: Any
    dangers: tuple[Any, ...]
    checks: list[Check]


@dataclass(frozen=True, kw_only=True)
class Action:
    """The whole description of one action.

    `stages`: the stages it makes sense from; whether it is allowed now, `checks` say. `leaves`: the stage after it,
    None if that depends. `procedure` does its steps by `Run.do`. `leads`: no other action that leads runs meanwhile.
    `destroys`: it takes something away from people, or cannot be undone. `is_way_out`: it ends an action that was left
    half-way, at any stage. `switches`: writes wait while it runs.
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

    def perform(self, service: str, initiator: Initiator, *, anew: bool = False) -> Move:
        """Do the action; returns its record. Raises: FAILURES, after the outcome was recorded."""
        with self._recorded(service, initiator) as journal:
            if not self.leads:
                self._go_through(RealRun(journal, initiator, anew=anew))
                return journal.move
            with (
                leading(service, f"{self.name} by {initiator.who}", take_over=initiator.take_over),
                stages.pair(service) as pair,
            ):
                self._go_through(RealRun(journal, initiator, pair=pair, epoch=epochs.take(pair), anew=anew))
        return journal.move

    def plan(self, pair: Pair) -> Plan:
        """What the action would do now. Nothing is changed; checks of a lag write a heartbeat.

        Raises: TwoPrimaries, NoWay, psycopg.OperationalError.
        """
        dry = DryRun(pair.service, pair)
        results = self.checks(dry)
        self.procedure(dry)
        return Plan(tuple(dry.steps), self.locks, self.dangers, results)

    def _go_through(self, run: Run) -> None:
        results = self.checks(run)
        if results:
            run.note(checks=[check._asdict() for check in results])
        for line in checks.lines(results):
            run.write_line(line)
        checks.require(results)
        run.checks = results
        self.procedure(run)

    @contextmanager
    def _recorded(self, service: str, initiator: Initiator) -> Iterator[Journal]:
        """The journal of the action; its outcome is recorded in every case."""
        journal = Journal(
            service,
            self.name,
            asked=initiator.asked,
            who=initiator.who,
            where=initiator.where,
            reason=initiator.reason,
            write_line=initiator.write_line,
            stop_before=initiator.stop_before,
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
