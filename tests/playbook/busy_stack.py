"""A stack of its own under constant use, on which the pages of the playbook are executed."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self
from unittest import mock

import urllib3

from landcontracts.demo.client import Client, Refused
from landcontracts.embedded.stack import BASE, Stack
from tests.drills.test_lift import ENGINES

PEOPLE = 60
THREADS = 4
PAUSE_SECONDS = 0.25
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
BIN = Path(sys.executable).parent


class Person(Client):
    """A person whose every request is counted."""

    def __init__(self, url: str, failures: list[str], counted: Counter[str]) -> None:
        super().__init__(url, {})
        self._failures, self._counted = failures, counted

    def register(self, email: str, password: str, full_name: str, roles: list[str]) -> None:
        """Open an account and log in; the credentials serve to log in again later."""
        self._account = (email, password)
        super().register(email, password, full_name, roles)

    def _read(self, answer: urllib3.BaseHTTPResponse) -> object:
        self._counted["requests"] += 1
        if answer.status >= 500:
            self._failures.append(f"{answer.status} {answer.data[:200]!r}")
        return super()._read(answer)

    def visit(self) -> None:
        """One visit: read messages and documents, and mark the messages as read."""
        try:
            self.get("notifications?limit=5")
            self.get(f"documents?contract_id={UNKNOWN_ID}")
            self.get("notifications?limit=5")
            self.post("notifications/read")
        except Refused as refused:
            if refused.problem["status"] != 401:
                raise
            self.log_in(*self._account)  # a token lasts five minutes


class BusyStack:
    """A context: the stack with its worker, and people. Their failed requests are in `failures`."""

    def __init__(self, name: str) -> None:
        self.failures: list[str] = []
        self.counted: Counter[str] = Counter()
        self._stop = threading.Event()
        # A stack of its own: no other test uses its two servers.
        environment = {name: value for name, value in os.environ.items() if name not in ENGINES}
        with mock.patch.dict(os.environ, environment, clear=True):
            self.stack = Stack(name, fresh=True, durable=False, quiet=True).__enter__()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        stack = self.stack
        try:
            stack.env |= {"ARGON2_TIME_COST": "1", "ARGON2_MEMORY_KIB": "64"}
            self.url = stack.start_web()
            stack.start_worker()
            with ThreadPoolExecutor(THREADS) as pool:
                self.people = list(pool.map(self._register, range(PEOPLE)))
            self._threads = [
                threading.Thread(target=self._visit_repeatedly, args=(n,), name="people") for n in range(THREADS)
            ]
            for thread in self._threads:
                thread.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        # Processes that a page started and left running, because people are served by them.
        for file in (self.stack.folder / "logs").glob("*.pid"):
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGTERM)
        self.stack.__exit__(None, None, None)

    def _register(self, number: int) -> Person:
        person = Person(self.url, self.failures, self.counted)
        email = f"{secrets.token_hex(6)}@playbook.example"
        person.register(email, secrets.token_urlsafe(12), f"Житель Номер {number}", ["buyer"])
        return person

    def _visit_repeatedly(self, turn: int) -> None:
        while not self._stop.is_set():
            for person in self.people[turn::THREADS]:
                if self._stop.wait(PAUSE_SECONDS):
                    return
                try:
                    person.visit()
                except Exception as error:
                    self.failures.append(repr(error))

    def environment(self) -> dict[str, str]:
        """The platform's settings, as a shell on the same machine has them."""
        return self.stack.env | {"PATH": f"{BIN}:{os.environ['PATH']}", "STACK_NAME": self.stack.folder.name}

    def manage(self, service: str, *arguments: str) -> subprocess.Popen[str]:
        """`manage.py extraction SERVICE …`, under way."""
        return subprocess.Popen(
            [sys.executable, "manage.py", "extraction", service, *arguments],
            cwd=BASE,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


if __name__ == "__main__":
    # For manual inspection: the stack runs until Ctrl-C.
    with BusyStack("playbook-manual") as busy_stack:
        for service in sys.argv[1:]:
            busy_stack.stack.start_lifted(service, busy_stack.url)
        print(busy_stack.url, flush=True)
        while True:
            time.sleep(5)
            print(dict(busy_stack.counted), busy_stack.failures[-1:], flush=True)
