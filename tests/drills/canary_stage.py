"""What all rollouts share: one stack, its load, and the lifted-out service behind a proxy that can break its calls."""

from __future__ import annotations

import re
from collections import Counter
from typing import Self
from urllib.parse import urlsplit

import urllib3

from landcontracts.embedded.processes import Process, free_port, inner_url
from landcontracts.embedded.stack import Stack
from tests.drills import kill_faults
from tests.drills.canary_load import Load
from tests.drills.canary_proxy import Proxy
from tests.drills.canary_traffic import TRAFFIC
from tests.drills.people import People

FELL_BACK = re.compile(r'seam_fallbacks_total{kind="(\w+)",method="\w+",service="(\w+)"} (\S+)')


class Stage:
    """A context. The stack's web server and worker run already."""

    def __init__(self, stack: Stack, url: str, service: str, people: int, rate: float) -> None:
        self.stack, self.url, self.service = stack, url, service
        traffic = TRAFFIC[service]
        # The address that the stack knows is the proxy's; the service itself listens elsewhere.
        public, own = stack.away[service], f"http://127.0.0.1:{free_port()}"
        stack.away = {**stack.away, service: own}
        self.proxy = Proxy(public, own, traffic)
        self.lifted = stack.start_lifted(service, url)
        self.people = People(url, people)
        self.load = Load(url, service, traffic, self.people.members, rate)

    def __enter__(self) -> Self:
        self.load.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.load.__exit__()
        self.proxy.__exit__()

    def fell_back(self) -> Counter[str]:
        """Calls that the platform answered in place of the lifted-out service, by reason, as the web server counts them."""
        fallbacks: Counter[str] = Counter()
        metrics = urllib3.request("GET", f"{inner_url(self.url)}/metrics", timeout=10).data.decode()
        for kind, service, value in FELL_BACK.findall(metrics):
            if service == self.service:
                fallbacks[kind] += int(float(value))
        return fallbacks

    def process(self, name: str) -> Process:
        """One of the stack's processes."""
        return next(process for running, process, _ in reversed(self.stack.processes._running) if running == name)

    def kill_lifted(self) -> None:
        """Kill -9, its web server and its worker at one moment."""
        kill_faults.kill(self.lifted)
        self.stack.processes.forget(self.lifted)

    def revive(self) -> None:
        """Start the lifted-out service again if it is gone."""
        if self.lifted.poll() is not None:
            self.lifted = self.stack.start_lifted(self.service, self.url)

    def restart_web(self) -> None:
        """End the web server with SIGTERM and start another one at the same address."""
        process = self.process("web")
        process.terminate()
        process.wait(30)
        self.stack.processes.forget(process)
        if self.stack.start_web(preferred_port=urlsplit(self.url).port or 0) != self.url:
            raise RuntimeError(f"{self.url} was taken by another process")
