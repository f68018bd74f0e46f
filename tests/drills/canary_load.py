"""An open loop of light requests by several hundred people: request number n is due at n / rate, whether or not earlier ones are answered."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
from collections.abc import Sequence
from statistics import quantiles
from typing import Any, NamedTuple, Self

import urllib3

from tests.drills.canary_traffic import Traffic
from tests.drills.sales import Person

THREADS = 16
COMMANDS = 0.2
TIMEOUT_SECONDS = 20.0
# Late clients catch up by at most this: the clients' own delay is not the service's.
MOST_BEHIND_SECONDS = 1.0


class Request(NamedTuple):
    """One request of one person, by the wall clock. `harmed`: the answer was altered or a refusal."""

    at: float
    milliseconds: float
    person: str
    is_remote: bool
    harmed: bool
    failure: str

    @property
    def answered_at(self) -> float:
        """When its answer arrived, by the wall clock."""
        return self.at + self.milliseconds / 1000


class Load:
    """Requests, each by a random person. A context; `pace` changes how many there are a second, or stops them."""

    def __init__(self, url: str, service: str, traffic: Traffic, people: Sequence[Person], rate: float) -> None:
        self.requests: list[Request] = []
        self.rate = rate
        self.behind = 0.0
        self._url, self._service, self._traffic, self._people = url, service, traffic, people
        self._http = urllib3.PoolManager(timeout=TIMEOUT_SECONDS, retries=False, maxsize=THREADS)
        self._random = random.Random(7)
        self._turn = threading.Condition()
        self._pace = 0.0
        self._due = 0.0
        self._under_way = 0
        self._is_over = False
        self._threads = [threading.Thread(target=self._work, name="people", daemon=True) for _ in range(THREADS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.pace(self.rate)
        return self

    def __exit__(self, *_: object) -> None:
        with self._turn:
            self._is_over = True
            self._turn.notify_all()
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)

    def pace(self, rate: float) -> None:
        """Send this many requests a second from now on; 0 stops them."""
        with self._turn:
            self._pace, self._due = rate, time.monotonic()
            self._turn.notify_all()

    def pause(self) -> None:
        """Send no more requests; returns when those under way are answered."""
        self.pace(0)
        with self._turn:
            self._turn.wait_for(lambda: not self._under_way, TIMEOUT_SECONDS)

    def since(self, at: float) -> list[Request]:
        """The requests sent since a moment that were answered."""
        return [request for request in list(self.requests) if request.at >= at]

    def _work(self) -> None:
        while self._begin():
            try:
                self.requests.append(self._ask(self._random.choice(self._people)))
            finally:
                with self._turn:
                    self._under_way -= 1
                    self._turn.notify_all()

    def _begin(self) -> bool:
        with self._turn:
            while not self._is_over:
                now = time.monotonic()
                if self._pace and now >= self._due:
                    self.behind = max(self.behind, now - self._due)
                    self._due = max(self._due + 1 / self._pace, now - MOST_BEHIND_SECONDS)
                    self._under_way += 1
                    return True
                self._turn.wait(self._due - now if self._pace else None)
        return False

    def _ask(self, person: Person) -> Request:
        is_command = self._random.random() < COMMANDS
        headers = {"Accept": "application/json", "Authorization": f"Bearer {person.token}"}
        path, body = self._traffic.query_path, None
        if is_command:
            content = self._traffic.body()
            path, body = self._traffic.command_path, None if content is None else json.dumps(content).encode()
            headers |= {"Idempotency-Key": secrets.token_hex(16), "Content-Type": "application/json"}
        at, started = time.time(), time.perf_counter()
        failure, is_remote, harmed = "", False, False
        try:
            answer = self._http.request(
                "POST" if is_command else "GET", f"{self._url}/api/v1/{path}", body=body, headers=headers
            )
            is_remote = f"{self._service}={self._service}" in answer.headers.get("X-Answered-By", "")
            harmed, failure = self._judge(answer.status, answer.data)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            failure = repr(error)
        failure = failure and f"{'command' if is_command else 'query'}: {failure}"
        return Request(at, (time.perf_counter() - started) * 1000, person.id, is_remote, harmed, failure)

    def _judge(self, status: int, data: bytes) -> tuple[bool, str]:
        """Whether the drill's fault altered the answer; otherwise the failure, or ''."""
        content: Any = json.loads(data) if data else None
        if (
            status == 404
            and isinstance(content, dict)
            and content.get("code") == json.loads(self._traffic.refusal)["code"]
        ):
            return True, ""
        if status >= 400:
            return False, f"{status} {data[:200]!r}"
        return self._traffic.is_wrong(content), ""


def percentiles(requests: Sequence[Request]) -> dict[str, float]:
    """The 50th, 95th and 99th percentile in milliseconds; empty where fewer than a hundred were answered."""
    if len(requests) < 100:
        return {}
    cuts = quantiles([request.milliseconds for request in requests], n=100, method="inclusive")
    return {"p50_ms": round(cuts[49], 1), "p95_ms": round(cuts[94], 1), "p99_ms": round(cuts[98], 1)}
