"""The data of each service leave the shared database and come back under a steady load, and nothing is lost.

For each service: sync, verify, cut over, run on, roll back, run on, several times; then it is committed and the next service follows.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from typing import NamedTuple

from landcontracts.embedded.stack import Stack
from tests.drills import audit, readback
from tests.drills.clients import Tally
from tests.drills.leader import Done, Leader, beating
from tests.drills.move_report import MoveReport, Report, Switch
from tests.drills.people import People
from tests.drills.sales import Fact, Load
from tests.drills.steady import Steady, Stopwatch, capacity

READY_SECONDS = 60
AROUND_SECONDS = 0.5
REFUSED = "refused"
STEADY = "steady"


class Scale(NamedTuple):
    """How much of everything."""

    rows: int = 200_000
    clients: int = 12
    rounds: int = 5
    run_on_seconds: float = 4.0
    capacity_seconds: float = 15.0


# What CI runs.
LIGHT = Scale(rows=4_000, clients=4, rounds=2, run_on_seconds=0.3, capacity_seconds=2.0)


class Moves:
    """One stack with its people and its rows; services get databases of their own one after the other, and keep them."""

    def __init__(self, stack: Stack, url: str, scale: Scale, report: Report, leader: Leader) -> None:
        self.stack, self.url, self.scale, self.report, self.leader = stack, url, scale, report, leader
        self.people = People(url, scale.clients * 3 + 1)
        self.messages_per_sale: Counter[str] = Counter()
        self.events_per_sale: Counter[readback.EventKind] = Counter()

    def rehearse(self) -> None:
        """One sale without other load, to know the messages and events of a sale."""
        since = audit.now()
        contract = self._one_sale().contract_id
        self.messages_per_sale = audit.messages_of([contract])[contract]
        self.events_per_sale = readback.kinds_of_events(since)

    def relocate(self, service: str) -> MoveReport:
        """All steps with one service."""
        result = Run(self, service).play()
        self.report.add(result)
        return result

    def finish(self, services: list[str]) -> list[str]:
        """One whole sale with all services in their own databases; what is wrong, in words."""
        from apps.extraction.state import stages as service_stages

        since = audit.now()
        facts = audit.Facts([self._one_sale()], [], [], since)
        verdict, events = audit.check(facts, self.messages_per_sale), readback.events(since)
        stages = {service: service_stages.observe(service).stage for service in services}
        wrong = [
            f"{service} is {stage}" for service, stage in stages.items() if stage is not service_stages.Stage.COMMITTED
        ]
        return [*wrong, *verdict.lost, *verdict.doubled, *events.lost, *events.doubled]

    def _one_sale(self) -> Fact:
        with Load(self.url, Tally(), self.people.trios(1), self.people.pdf) as load:
            pass
        audit.settle()
        if load.broken or not load.facts:
            raise RuntimeError(f"a sale in calm does not succeed: {load.broken}")
        return load.facts[0]


class Run:
    """One service's relocation to a database of its own."""

    def __init__(self, moves: Moves, service: str) -> None:
        self.moves, self.service = moves, service
        self.tally = Stopwatch()
        self.result = MoveReport(service)
        self.facts: list[Fact] = []
        self.broken: list[str] = []
        self._since = audit.now()
        self._syncs: list[str] = []

    def play(self) -> MoveReport:
        """All steps under load, and what came of it."""
        self._lift()
        self._measure_capacity()
        self._act("prepare")
        with self._load() as load:
            self._synchronise()
            with beating(self.service) as self.result.lag_ms:
                for _ in range(self.moves.scale.rounds):
                    self._switch(load, "cutover")
                    self._switch(load, "rollback")
                self._switch(load, "cutover")
        self._keep(load)
        self._read_back()
        with self._load() as load:
            load.run_on(self.moves.scale.run_on_seconds)
            self._act("commit")
            load.run_on(self.moves.scale.run_on_seconds)
        self._keep(load)
        self._audit()
        return self.result

    def _lift(self) -> None:
        """Start the service's own processes and route every call there."""
        from apps.extraction.routing import shares

        began = time.monotonic()
        self.moves.stack.start_lifted(self.service, self.moves.url)
        with shares.initiated_by("drill", where="make drill-move"):
            shares.set_share(self.service, "remote", 100)
        self._say("apart", began, "everybody is served by its own process")

    def _measure_capacity(self) -> None:
        began = time.monotonic()
        with self._load(closed=True) as load:
            self.result.capacity = capacity(load, self.moves.scale.capacity_seconds)
        self._keep(load)
        self.result.rate = self.result.capacity / 2
        self._say(
            "capacity",
            began,
            f"{self.result.capacity:.2f} sales a second; from now on {self.result.rate:.2f} are begun",
        )

    def _load(self, *, closed: bool = False) -> Steady:
        self.tally.step = "capacity" if closed else STEADY
        people, scale = self.moves.people, self.moves.scale
        chosen = people.trios(scale.clients)
        return Steady(self.moves.url, self.tally, chosen, people.pdf, rate=0.0 if closed else self.result.rate)

    def _keep(self, load: Steady) -> None:
        self.facts += load.facts
        self.broken += load.broken
        self.result.behind_seconds += load.behind

    def _synchronise(self) -> None:
        from apps.extraction.state import stages as service_stages

        self._act("sync")
        sync = service_stages.live_sync(self.service)
        if sync is None:
            raise RuntimeError(f"{self.service} is not followed after its sync")
        self._syncs.append(str(sync.sync_id))
        self.result.rows = sync.records_processed
        self.result.copy_seconds = sync.records_processed / max(sync.rows_per_second, 1)
        self.result.verify_rows_s = int(self._act("verify").facts["rows_per_second"])
        self.moves.leader.hand_over()

    def _act(self, action: str) -> Done:
        """One action; repeated while it is refused, as an administrator would. Raises: RuntimeError."""
        began = time.monotonic()
        refusals = 0
        while (done := self.moves.leader.act(self.service, action)).outcome == REFUSED:
            refusals += 1
            if time.monotonic() - began > READY_SECONDS:
                break
        if done.outcome != "done":
            raise RuntimeError(f"{self.service} {action}: {done.outcome}: {done.problem}")
        facts = ", ".join(
            f"{value:,} {name.replace('_', ' ')}"
            for name, value in done.facts.items()
            if isinstance(value, int | float)
        )
        again = f"refused {refusals} times before" if refusals else ""
        if not done.attempts or again:
            self._say(action, began, "; ".join(filter(None, (facts, again))))
        return done

    def _switch(self, load: Steady, action: str) -> None:
        """Change the primary and run on, so that clients' answers are measured on both sides of the switch."""
        done = self._act(action)
        load.run_on(self.moves.scale.run_on_seconds)
        switch = Switch(action, done.pause_ms, done.attempts, done.parts_ms)
        begin = done.closed_at - AROUND_SECONDS
        switch.slowest_ms = round(self.tally.slowest(begin, begin + done.pause_ms / 1000 + 2 * AROUND_SECONDS), 1)
        switch.gap_ms = self._gap(done)
        self.result.switches.append(switch)
        self.moves.report.switched(self.service, switch, done.seconds)

    def _gap(self, done: Done) -> float | None:
        """The longest time around a switch in which no client received the answer of a command of the service, in milliseconds."""
        ours = readback.keys_of(self.service, list(self.tally.acknowledged_at))
        begin, end = done.closed_at - AROUND_SECONDS, done.closed_at + done.pause_ms / 1000 + AROUND_SECONDS
        times = sorted(at for key, at in self.tally.acknowledged_at.copy().items() if key in ours)
        gaps = [(later - at) * 1000 for at, later in itertools.pairwise(times) if later >= begin and at <= end]
        return round(max(gaps), 1) if gaps else None

    def _read_back(self) -> None:
        """With all events delivered, both databases must hold the same rows, and every acknowledged write."""
        began = time.monotonic()
        waiting = audit.settle()
        differences = readback.both(self.service, self.facts, self.tally.keys)
        self._count(differences)
        self.result.events_lost += len(waiting)
        self.result.complaints += waiting
        self._say(
            "read back", began, f"{len(differences.lost)} lost, {len(differences.doubled)} doubled in two databases"
        )

    def _audit(self) -> None:
        began = time.monotonic()
        verdict = audit.check(
            audit.Facts(self.facts, self.tally.keys, self._syncs, self._since), self.moves.messages_per_sale
        )
        self._count(readback.Differences(*verdict))
        # A broken sale made only some of its events; it is counted as failed.
        expected = readback.expected_events(
            self.moves.events_per_sale, len(self.facts), readback.status_changes(self._since)
        )
        events = readback.events(self._since, None if self.broken else expected)
        result = self.result
        result.events_lost += len(events.lost)
        result.events_doubled += len(events.doubled)
        result.events = sum(readback.kinds_of_events(self._since).values())
        result.sales, result.requests, result.commands = len(self.facts), self.tally.requests, len(self.tally.keys)
        result.failed = len(self.tally.failures)
        p50, p99 = self.tally.percentiles(STEADY)
        slowest = max(self.tally.milliseconds.get(STEADY, [0.0]))
        result.request_ms = {"p50": p50, "p99": p99, "max": round(slowest, 1)}
        failures = [words for _, words in self.tally.failures]
        result.complaints = [*failures, *self.broken, *result.complaints, *events.lost, *events.doubled]
        self._say("audit", began, f"{result.sales} sales, {result.events} events")

    def _count(self, differences: readback.Differences) -> None:
        self.result.lost += len(differences.lost)
        self.result.doubled += len(differences.doubled)
        self.result.complaints += [*differences.lost, *differences.doubled]

    def _say(self, step: str, began: float, words: str) -> None:
        self.moves.report.say(self.service, step, time.monotonic() - began, words)
