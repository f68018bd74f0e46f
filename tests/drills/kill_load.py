"""Constant writes: whole sales, and single commands repeated until acknowledged; and the audit of what they must have left."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import Counter
from typing import Any, NamedTuple, Self

import psycopg
import urllib3

from apps.core.postgres import replication
from apps.datasync.gateways import tables
from apps.extraction.state import stages
from apps.extraction.state.stages import SHARED
from tests.drills import audit, clients, sales
from tests.drills.clients import Tally
from tests.drills.people import People

WRITERS = 2
PAUSE_SECONDS = 0.05
AGAIN_SECONDS = 0.05
LAST_SECONDS = 30
ARRIVE_SECONDS = 30
# A client that gets no answer repeats: it does not give up before the drill's own bounds.
clients.ATTEMPTS = 4_000
# The two cores are shared: sales are there to have every kind of write, not to fill the cores.
sales.PAUSE_SECONDS = 0.1


class Sent(NamedTuple):
    """A command that records a plot, with its key."""

    number: str
    key: str
    id: str = ""


class Plots:
    """Commands of `contracts` by REST, each repeated under its key until it is acknowledged."""

    def __init__(self, url: str, tokens: list[str]) -> None:
        self._url = url
        self._stop = threading.Event()
        self._acknowledgement = threading.Condition()
        self._newest = (0.0, 0.0)
        self._until = float("inf")
        self.acknowledged: list[Sent] = []
        self.unacknowledged: dict[str, Sent] = {}
        self.refused: list[str] = []
        self.repeated = 0
        self._threads = [threading.Thread(target=self._write, args=(token,), name="plots") for token in tokens]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._until = time.monotonic() + LAST_SECONDS
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def acknowledged_after(self, moment: float, seconds: float) -> float | None:
        """When the first write that was begun after a moment was acknowledged; None where it was not in time."""
        with self._acknowledgement:
            self._acknowledgement.wait_for(lambda: self._newest[0] >= moment, seconds)
            return self._newest[1] if self._newest[0] >= moment else None

    def _write(self, token: str) -> None:
        http = urllib3.PoolManager(timeout=30.0, retries=False)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
        while not self._stop.wait(PAUSE_SECONDS):
            sent = Sent(f"50:21:{secrets.randbelow(10**7):07d}:{secrets.randbelow(10**8)}", secrets.token_hex(16))
            self.unacknowledged[sent.key] = sent
            body = json.dumps({"cadastral_number": sent.number, "address": "Одинцово, поле 8", "area_m2": "600.00"})
            while not self._is_answered(http, headers | {"Idempotency-Key": sent.key}, body.encode(), sent):
                self.repeated += 1
                if time.monotonic() > self._until:
                    return
                time.sleep(AGAIN_SECONDS)

    def _is_answered(self, http: urllib3.PoolManager, headers: dict[str, str], body: bytes, sent: Sent) -> bool:
        began = time.monotonic()
        try:
            answer = http.request("POST", f"{self._url}/api/v1/land-plots", body=body, headers=headers)
        except urllib3.exceptions.HTTPError:
            return False
        if answer.status >= 500 or answer.status == 429:
            return False
        del self.unacknowledged[sent.key]
        if answer.status >= 400:
            self.refused.append(f"{answer.status} {answer.data[:300]!r}")
            return True
        with self._acknowledgement:
            self.acknowledged.append(sent._replace(id=json.loads(answer.data)["id"]))
            self._newest = max(self._newest, (began, time.monotonic()))
            self._acknowledgement.notify_all()
        return True


class Load:
    """All writers of one drill, from a calm first sale to the audit."""

    def __init__(self, url: str, service: str, people: People) -> None:
        self.service = service
        self.tally = Tally()
        self.since = audit.now()
        trios = people.trios(2)
        self.messages_per_sale = self._rehearse(url, trios[0], people)
        self.sales = sales.Load(url, self.tally, trios[1:], people.pdf)
        tokens = [person.token for person in people.members[-WRITERS:]]
        self.plots = Plots(url, tokens if service == "contracts" else [])
        self._rows = 0

    def __enter__(self) -> Self:
        self.sales.__enter__()
        self.plots.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.plots.__exit__(*error)
        self.sales.__exit__(*error)

    def _rehearse(self, url: str, trio: sales.Trio, people: People) -> Counter[str]:
        """One sale without other load: how many messages it makes."""
        with sales.Load(url, self.tally, [trio], people.pdf) as load:
            pass
        audit.settle()
        if load.broken or not load.facts:
            raise RuntimeError(f"a sale in calm does not succeed: {load.broken}")
        self._calm = load.facts
        return audit.messages_of([load.facts[0].contract_id])[load.facts[0].contract_id]

    def begin(self) -> float:
        """The moment after which a write is expected."""
        if self.service != "contracts":
            self._rows = self._commands()
        return time.monotonic()

    def written_after(self, moment: float, seconds: float) -> float | None:
        """When a write begun after a moment was acknowledged. For services without a writer of their own: when a command was stored."""
        if self.service == "contracts":
            return self.plots.acknowledged_after(moment, seconds)
        deadline = time.monotonic() + seconds
        while self._commands() <= self._rows:
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)
        return time.monotonic()

    def _commands(self) -> int:
        try:
            with stages.pair(self.service) as pair:
                query = f"SELECT count(*) FROM {self.service}_command"
                return max(int((database.execute(query).fetchone() or [0])[0]) for database in (pair.shared, pair.own))
        except psycopg.Error:
            return 0

    def audit(self, primary: str) -> audit.Verdict:
        """What is lost and what is doubled, in both databases; `primary` is an alias."""
        facts = [*self._calm, *self.sales.facts]
        verdict = audit.check(audit.Facts(facts, self.tally.keys, [], audit.now()), self.messages_per_sale)
        self._nothing_else(verdict, facts)
        with stages.pair(self.service) as pair:
            writer, reader = pair.side(primary), pair.side(pair.other(primary))
            try:
                replication.beat(writer, reader, self.service, seconds=ARRIVE_SECONDS)
            except replication.TooSlow as error:
                verdict.lost.append(f"the other database does not follow: {error}")
            if self.service == "contracts":
                for alias in (primary, pair.other(primary)):
                    self._count(verdict, pair.side(alias), alias)
            for table in tables.describe_all(writer, self.service):
                source, copy = tables.checksum(writer, table), tables.checksum(reader, table)
                if source != copy:
                    verdict.lost.append(
                        f"{table.name} differs: {source[0]} rows in the primary, {copy[0]} in the other database"
                    )
        return verdict

    def _count(self, verdict: audit.Verdict, connection: Any, alias: str) -> None:
        """Each acknowledged plot is stored once, under its own id; each unacknowledged one at most once."""
        done, open_ = self.plots.acknowledged, [*self.plots.unacknowledged.values()]
        query = "SELECT cadastral_number, count(*), min(id::text) FROM contracts_landplot WHERE cadastral_number = ANY(%s) GROUP BY 1"
        rows = connection.execute(query, [[sent.number for sent in (*done, *open_)]]).fetchall()
        stored = {number: (count, identity) for number, count, identity in rows}
        place = "the shared database" if alias == SHARED else "its own database"
        for sent in done:
            count, identity = stored.get(sent.number, (0, sent.id))
            audit._judge(verdict, f"plot {sent.number} in {place}", count)
            audit._judge(verdict, f"identity of plot {sent.number} in {place}", int(identity == sent.id))
        for sent in open_:
            audit._judge(verdict, f"plot {sent.number} in {place}", max(stored.get(sent.number, (1, ""))[0], 1))
        keys = [sent.key for sent in done]
        stored_keys = connection.execute("SELECT key FROM contracts_command WHERE key = ANY(%s)", [keys]).fetchall()
        verdict.lost.extend(f"command {key} in {place}" for key in {*keys} - {str(key) for (key,) in stored_keys})

    def _nothing_else(self, verdict: audit.Verdict, facts: list[sales.Fact]) -> None:
        """Every row made since the start was acknowledged, or its command is still unacknowledged."""
        plots = {fact.plot_id for fact in facts} | {sent.id for sent in self.plots.acknowledged}
        numbers = {sent.number for sent in self.plots.unacknowledged.values()}
        query = "SELECT id::text, cadastral_number FROM contracts_landplot WHERE created_at >= %s"
        for identity, number in audit._rows(query, self.since):
            if identity not in plots and number not in numbers:
                verdict.doubled.append(f"plot {identity} ({number}) that was never acknowledged")
        contracts = {fact.contract_id for fact in facts}
        for (identity,) in audit._rows("SELECT id::text FROM contracts_contract WHERE created_at >= %s", self.since):
            if identity not in contracts:
                verdict.doubled.append(f"contract {identity} that was never acknowledged")
