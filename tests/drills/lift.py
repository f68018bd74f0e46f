"""`make drill-lift`: each service is lifted out and back under load, killed and hung at every step, and no request fails.

Prints a table as it goes and writes `build/drill-lift.json`.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import urllib3

from landcontracts.demo.client import Refused
from landcontracts.embedded.processes import Process, inner_url
from landcontracts.embedded.stack import Stack
from tests.drills import audit, sales
from tests.drills.clients import DrillClient, Tally
from tests.drills.people import People
from tests.drills.report import Report, ServiceReport, Step

SHARES = (5, 50, 100)
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
# A request of the public API that the service has a part in.
ASKED: dict[str, str] = {
    "authentication": "auth/me",
    "documents": f"documents?contract_id={UNKNOWN_ID}",
    "signatures": f"signatures?document_id={UNKNOWN_ID}",
    "contracts": "contracts?limit=1",
    "workflow": f"workflows?contract_id={UNKNOWN_ID}",
    "notifications": "notifications?limit=1",
    "datasync": "sync",
}


class Scale(NamedTuple):
    """How much of everything."""

    actors: int = 2_000
    sellers: int = 4
    census_threads: int = 4
    shares: tuple[int, ...] = SHARES
    after_fault_seconds: float = 2.0
    sigmas: float = 3.0
    killed_at: tuple[str, ...] = ("shadow", "5 %", "50 %", "100 %")


# What CI runs: fewer people, killed at fewer steps, and a bound that 35 shares in a row keep.
LIGHT = Scale(actors=160, sellers=2, census_threads=4, after_fault_seconds=0.7, sigmas=5.0, killed_at=("5 %", "100 %"))


class Drill:
    """One stack with its people; services are lifted out one after the other."""

    def __init__(self, stack: Stack, url: str, scale: Scale, report: Report) -> None:
        from apps.extraction.routing import shares as flag_shares  # Django is set up by now

        self._routing = flag_shares
        self.stack, self.url, self.scale, self.report = stack, url, scale, report
        self.people = People(url, scale.actors)
        self.messages_per_sale: Counter[str] = Counter()

    def rehearse(self) -> None:
        """One sale without other load, to know how many messages a sale makes."""
        trio, tally = self.people.trios(1)[0], Tally()
        with sales.Load(self.url, tally, [trio], self.people.pdf) as load:
            pass
        audit.settle()
        if load.broken or not load.facts:
            raise RuntimeError(f"a sale in calm does not succeed: {load.broken}")
        contract = load.facts[0].contract_id
        self.messages_per_sale = audit.messages_of([contract])[contract]

    def lift(self, service: str) -> ServiceReport:
        """All steps with one service."""
        if service == "datasync":
            from apps.core.postgres.migrate_service import prepare

            prepare(sales.COPIED_SERVICE)  # the administrator's copies go into its own database
        run = Run(self, service)
        result = run.play()
        self.report.add(result)
        return result

    def share(self, service: str, kind: str, percent: int) -> None:
        """Turn a flag."""
        with self._routing.initiated_by("drill", where="make drill-lift"):
            self._routing.set_share(service, kind, percent)


class Run:
    """One service's way out and back."""

    def __init__(self, drill: Drill, service: str) -> None:
        self.drill, self.service = drill, service
        self.tally = Tally()
        self.result = ServiceReport(service, drill.scale.sigmas)
        self.process: Process | None = None
        self._percent = 0
        self._started = audit.now()

    def play(self) -> ServiceReport:
        """All steps under load, then the audit."""
        from apps.extraction.routing.shadow.models import ShadowComparison

        drill, started = self.drill, self._started
        chosen = drill.people.trios(drill.scale.sellers, first_for=f"{self.service}_remote")
        answered_locally = self._answered_locally()
        with self._administrator() as syncs, sales.Load(drill.url, self.tally, chosen, drill.people.pdf) as load:
            with self._step("in process"):
                self._census()
            with self._step("apart"):
                self.process = drill.stack.start_lifted(self.service, drill.url)
                self._census()
            self._shadowed()
            for percent in drill.scale.shares:
                self._shared(percent)
            self._hung()
            self._back()
        self.result.answered_at_home = int(self._answered_locally() - answered_locally)
        self._audit(load, syncs)
        compared = ShadowComparison.objects.filter(service=self.service, compared_at__gte=started)
        self.result.compared = compared.exclude(verdict="failed").count()
        self.result.mismatched = compared.filter(verdict="mismatch").count()
        return self.result

    def _shadowed(self) -> None:
        from apps.extraction.routing.shadow.models import ShadowComparison

        with self._step("shadow", 0) as step:
            sent: dict[str, float] = {}
            self.drill.share(self.service, "shadow", 100)
            started = time.monotonic()

            def is_compared() -> bool:
                sent[f"{self.service}-{len(sent)}"] = time.monotonic() - started
                self._is_remote(self.drill.people.members[0], identity=list(sent)[-1])
                return ShadowComparison.objects.filter(request_id__in=sent).exists()

            self._until(is_compared)
            compared = ShadowComparison.objects.filter(request_id__in=sent).values_list("request_id", flat=True)
            step.seconds_to_effect = min(sent[identity] for identity in compared)
            self._census()
        self._killed("shadow")
        self.drill.share(self.service, "shadow", 0)

    def _shared(self, percent: int) -> None:
        with self._step(f"{percent} %", percent) as step:
            step.seconds_to_effect = self._turn(percent)
            step.remote_share, step.actors = self._census()
        self._killed(f"{percent} %")

    def _killed(self, during: str) -> None:
        """Kill -9 in the middle of writes; start it again and wait until it is used again."""
        if during not in self.drill.scale.killed_at:
            return
        with self._step(f"{during}, kill -9", self._percent):
            self._signal(signal.SIGKILL)
            time.sleep(self.drill.scale.after_fault_seconds)
        with self._step(f"{during}, again", self._percent):
            self.process = self.drill.stack.start_lifted(self.service, self.drill.url)
            asked: list[str] = []
            self._until(lambda: self._is_remote(self._covered(1)[0]) if self._percent else self._is_compared(asked))

    def _hung(self) -> None:
        with self._step(f"{self._percent} %, hung", self._percent):
            self._signal(signal.SIGSTOP)
            time.sleep(self.drill.scale.after_fault_seconds * 2)
        with self._step(f"{self._percent} %, awake", self._percent):
            self._signal(signal.SIGCONT)
            self._until(lambda: self._is_remote(self._covered(1)[0]))

    def _back(self) -> None:
        with self._step("0 %", 0) as step:
            step.seconds_to_effect = self._turn(0)
            step.remote_share, step.actors = self._census()
        self._signal(signal.SIGTERM)

    def _signal(self, kind: signal.Signals) -> None:
        if self.process is None:
            raise RuntimeError("the service is not lifted out")
        os.killpg(self.process.pid, kind)
        if kind in {signal.SIGKILL, signal.SIGTERM}:
            self.process.wait(30)
            self.drill.stack.processes.forget(self.process)

    @contextmanager
    def _step(self, name: str, percent: int = 0) -> Iterator[Step]:
        step = Step(name, percent)
        self.tally.step = name
        yield step
        step.p50_ms, step.p99_ms = self.tally.percentiles(name)
        step.failed = self.tally.failed_in(name)
        self.result.steps.append(step)
        self.drill.report.add_step(self.service, step)

    def _turn(self, percent: int) -> float:
        """Turn the flag and watch people whose side changes; the seconds until the last of them was answered on the old side."""
        before, self._percent = self._percent, percent
        low, high = sorted((before, percent))
        watched = self.drill.people.between(f"{self.service}_remote", low, high)[:5]
        if not watched:
            raise RuntimeError(f"no person changes sides between {low} and {high} %: more people are needed")
        remote = percent > before
        self.drill.share(self.service, "remote", percent)
        started = time.monotonic()
        last_wrong = 0.0
        while time.monotonic() - started < 1.5:
            for person in watched:
                sent = time.monotonic() - started
                if self._is_remote(person) is not remote:
                    last_wrong = sent
        return last_wrong

    def _is_compared(self, asked: list[str]) -> bool:
        """Whether the web server's shadowing gets answers from the lifted-out process again.

        The worker compares as well, behind a breaker of its own: only our own requests count.
        """
        from apps.extraction.routing.shadow.models import ShadowComparison

        asked.append(f"{self.service}-again-{len(asked)}")
        self._is_remote(self.drill.people.members[0], identity=asked[-1])
        rows = ShadowComparison.objects.filter(service=self.service, request_id__in=asked)
        return rows.exclude(verdict="failed").exists()

    def _covered(self, count: int) -> list[sales.Person]:
        return self.drill.people.between(f"{self.service}_remote", 0, self._percent)[:count]

    def _is_remote(self, person: sales.Person, *, identity: str = "") -> bool:
        client = DrillClient(self.drill.url, self.tally, pause=sales.PAUSE_SECONDS)
        client.authenticate(self._token(person), {}, identity=identity)
        client.get(ASKED[self.service])
        return client.answered_by.get(self.service) == self.service

    def _token(self, person: sales.Person) -> str:
        return self.drill.people.administrators_token(person) if self.service == "datasync" else person.token

    def _until(self, good: Callable[[], bool], seconds: float = 60) -> None:
        """Poll until a condition holds. Raises: TimeoutError."""
        deadline = time.monotonic() + seconds
        while not good():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.service}: {self.tally.step} did not finish in time")

    def _census(self) -> tuple[float, int]:
        """One request per person: the share that the lifted-out process answered, and how many were answered."""
        waiting = list(self.drill.people.members)
        covered = {person.id for person in self.drill.people.between(f"{self.service}_remote", 0, self._percent)}
        remote: list[bool] = []

        def ask() -> None:
            while True:
                try:
                    person = waiting.pop()
                except IndexError:
                    return
                try:
                    is_remote = self._is_remote(person)
                except (Refused, ConnectionError) as error:
                    self.tally.add(0.0, f"census: {error}")
                    continue
                remote.append(is_remote)
                # The platform may answer for a covered person whose call failed; a person who is not covered is never answered remotely.
                if is_remote and person.id not in covered:
                    self.tally.add(0.0, f"{person.id} is not covered at {self._percent} % and was answered remotely")

        threads = [threading.Thread(target=ask, name="census") for _ in range(self.drill.scale.census_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(remote) / max(len(remote), 1), len(remote)

    def _answered_locally(self) -> float:
        """Calls that the platform answered because the lifted-out process did not, as the web server counts them."""
        metrics = urllib3.request("GET", f"{inner_url(self.drill.url)}/metrics").data.decode().splitlines()
        ours = (
            line for line in metrics if line.startswith("seam_fallbacks_total{") and f'service="{self.service}"' in line
        )
        return sum(float(line.rsplit(" ", 1)[1]) for line in ours)

    @contextmanager
    def _administrator(self) -> Iterator[list[str]]:
        started: list[str] = []
        stop = threading.Event()
        token = self.drill.people.administrators_token(self.drill.people.members[0])
        arguments = (self.drill.url, self.tally, token, stop, started)
        thread = threading.Thread(target=sales.administrators_work, args=arguments, name="administrator")
        if self.service == "datasync":
            thread.start()
        try:
            yield started
        finally:
            stop.set()
            if thread.ident is not None:
                thread.join()

    def _audit(self, load: sales.Load, syncs: list[str]) -> None:
        facts = audit.Facts(load.facts, self.tally.keys, syncs, self._started)
        verdict = audit.check(facts, self.drill.messages_per_sale)
        counts: dict[str, Any] = {
            "requests": self.tally.requests,
            "failed": len(self.tally.failures),
            "commands": len(self.tally.keys),
            "sales": len(load.facts),
            "lost": len(verdict.lost),
            "doubled": len(verdict.doubled),
        }
        for name, value in counts.items():
            setattr(self.result, name, value)
        self.result.complaints = [
            *(words for _, words in self.tally.failures),
            *load.broken,
            *verdict.lost,
            *verdict.doubled,
        ]
