"""The write pause while the primary of a service's data changes, with a client that does nothing but write."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from statistics import median

from apps.core.database.primaries import SHARED
from apps.core.postgres import connections
from apps.core.postgres.leadership import AnotherLeads
from apps.extraction.relocation import actions
from apps.extraction.state import stages
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.models import Move
from benchmarks import rows, writes
from benchmarks.figures import Figure
from benchmarks.rows import SERVICE
from benchmarks.writes import Results

ROUNDS = 10
RATE = 1_000
# A command of the seam costs several times a bare write; this rate leaves both cores some time for the switch.
SEAM_ROUNDS = 4
SEAM_RATE = 300
PATIENCE_SECONDS = 5
INITIATOR = Initiator("benchmarks", "make bench", "measure the write pause")
WRITTEN = "SELECT cadastral_number FROM contracts_landplot WHERE owner_id = %s"


class WritesLost(Exception):
    """An acknowledged write is not in the database exactly once."""


def longest() -> list[Figure]:
    """Cut over and roll back. Replication and comparison of changed rows run in this process, the client in another.

    Raises: WritesLost.
    """
    try:
        actions.SYNC.perform(SERVICE, INITIATOR)
        # An earlier comparison was of another copy.
        actions.VERIFY.perform(SERVICE, INITIATOR, anew=True)
        with connections.control(SHARED) as shared:
            number = rows.count(shared)
        what = f"cutover and rollback of {SERVICE} with {number:,} rows, followed both ways and compared all the time"
        return [
            _measured(
                "write_pause_max_ms", "sql", ROUNDS, RATE, f"{what}; a client of one statement a write in autocommit"
            ),
            _measured(
                "write_pause_seam_max_ms",
                "seam",
                SEAM_ROUNDS,
                SEAM_RATE,
                "the same; a client of the seam's record_plot",
            ),
        ]
    finally:
        _bring_back()


def _measured(name: str, how: str, rounds: int, rate: int, what: str) -> Figure:
    with writes.client(how, rate) as client:
        moves = [
            _switched(perform) for _ in range(rounds) for perform in (actions.CUTOVER.perform, actions.ROLLBACK.perform)
        ]
    results = client.results
    _require_all_once(results)
    pauses = [move.pause_ms for move in moves if move.pause_ms is not None]
    again = sum((move.attempts or 1) - 1 for move in moves)
    return Figure(
        name=name,
        value=max(pauses),
        goal=25,
        unit="ms",
        against=f"the longest of {len(pauses)} pauses, median {median(pauses):.1f}, {again} repeated, over {rounds} rounds of "
        f"{what}, in a process of its own, aimed at {rate:,} writes/s and made {results.rate:.0f} ({results.call_ms:.1f} ms each); "
        f"the longest gap between two acknowledged writes of its {writes.THREADS} threads {results.gap_ms:.1f} ms; all "
        f"{len(results.numbers):,} acknowledged are there once, {sum(results.failures.values())} failed; load average "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
    )


def _switched(perform: Callable[[str, Initiator], Move]) -> Move:
    """Perform one action. The server may notice late that the action before has ended its lead.

    Raises: AnotherLeads.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return perform(SERVICE, INITIATOR)
        except AnotherLeads:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _require_all_once(results: Results) -> None:
    with connections.control(SHARED) as shared:
        counts = Counter(number for (number,) in shared.execute(WRITTEN, [results.owner]))
    wrong = [number for number in results.numbers if counts[number] != 1]
    if wrong:
        raise WritesLost(f"{len(wrong)} of {len(results.numbers)}, {wrong[0]} among them")


def _bring_back() -> None:
    """Make the shared database the primary and end replication, from any point at which a round has ended."""
    if stages.observe(SERVICE).primary is None:
        _switched(actions.RESUME.perform)
    if stages.observe(SERVICE).primary != SHARED:
        _switched(actions.ROLLBACK.perform)
    _switched(actions.ABORT.perform)
