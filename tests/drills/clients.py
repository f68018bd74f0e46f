"""Clients of the public API whose every request is timed, counted and repeated under its key when it fails."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

import urllib3

from landcontracts.demo.client import Client

ATTEMPTS = 5
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.15


class Tally:
    """What happened to the requests of one service's run, by the step that was under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.step = ""
        self.milliseconds: dict[str, list[float]] = {}
        self.failures: list[tuple[str, str]] = []
        self.keys: list[str] = []

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(map(len, self.milliseconds.values()))

    def add(self, milliseconds: float, failure: str = "") -> None:
        """One request, in the step under way."""
        with self._lock:
            self.milliseconds.setdefault(self.step, []).append(milliseconds)
            if failure:
                self.failures.append((self.step, failure))

    def acknowledged(self, key: str) -> None:
        """A command was answered with success: the audit has to find its effect."""
        with self._lock:
            self.keys.append(key)

    def percentiles(self, step: str) -> tuple[float, float]:
        """The 50th and 99th percentile of a step, in milliseconds; zeros where no request was made."""
        durations = self.milliseconds.get(step, [])
        if len(durations) < 2:
            return (0.0, 0.0)
        cuts = quantiles(durations, n=100, method="inclusive")
        return round(cuts[49], 1), round(cuts[98], 1)

    def failed_in(self, step: str) -> int:
        """Failed requests of a step."""
        return sum(1 for at, _ in self.failures if at == step)


class DrillClient(Client):
    """One person's client. Pauses between its requests, so that the load is steady."""

    def __init__(self, url: str, tally: Tally, *, pause: float = 0.0) -> None:
        super().__init__(url, {})
        self._http = urllib3.PoolManager(timeout=30.0, retries=False)
        self.tally = tally
        self._pause = pause

    def authenticate(self, token: str, user: dict[str, Any], *, identity: str = "") -> None:
        """Use the token of a logged-in person; `identity` becomes the request id."""
        self._headers["Authorization"] = f"Bearer {token}"
        if identity:
            self._headers["X-Request-ID"] = identity
        self.user = user

    def wait_for(self, path: str, good: Callable[[Any], bool], seconds: float = PATIENCE_SECONDS) -> Any:
        """Ask again until the answer is good; events of a service that was killed take their lease's time."""
        deadline = time.monotonic() + seconds
        while not good(answer := self.get(path)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} is still {answer}")
            time.sleep(POLL_SECONDS)
        return answer

    def upload(self, filename: str, content: bytes, mime_type: str, **fields: str) -> Any:
        """POST a file as multipart/form-data."""
        form: dict[str, Any] = {**fields, "file": (filename, content, mime_type)}
        body, kind = urllib3.encode_multipart_formdata(form)
        return self._attempted("POST", "documents/upload", body, kind)

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        encoded = None if body is None else json.dumps(body).encode()
        return self._attempted(method, path, encoded, "application/json")

    def _attempted(self, method: str, path: str, body: bytes | None, kind: str) -> Any:
        """Send; a failure is counted and the request repeated under the same key, as a careful client does."""
        key = secrets.token_hex(16)
        headers = {**self._headers, "Content-Type": kind}
        if method != "GET":
            headers["Idempotency-Key"] = key
        for attempt in range(1, ATTEMPTS + 1):
            time.sleep(self._pause)
            started = time.perf_counter()
            failure, answer = "", None
            try:
                answer = self._http.request(method, f"{self.url}/api/v1/{path}", body=body, headers=headers)
                if answer.status >= 500:
                    failure = f"{method} {path}: {answer.status} {answer.data[:200]!r}"
            except urllib3.exceptions.HTTPError as error:
                failure = f"{method} {path}: {error!r}"
            self.tally.add((time.perf_counter() - started) * 1000, failure)
            if not failure and answer is not None:
                content = self._read(answer)
                if method != "GET" and "Authorization" in headers:
                    self.tally.acknowledged(key)
                return content
            if attempt == ATTEMPTS:
                raise ConnectionError(failure)
        raise AssertionError("unreachable")
