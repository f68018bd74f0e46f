"""Repeated requests for a sale's documents, to see which process answers."""

from __future__ import annotations

import time

from tests.journeys.people import Person


def answered_by(person: Person, contract_id: str) -> str:
    person.answered_by.clear()
    person.get(f"documents?contract_id={contract_id}")
    return person.answered_by["documents"]


def until(person: Person, contract_id: str, process: str, seconds: float = 5) -> float:
    started = time.monotonic()
    while answered_by(person, contract_id) != process:
        assert time.monotonic() - started < seconds, f"still not answered by {process}"
    return time.monotonic() - started
