"""What runs beside the load, in processes of its own, so that the load's threads do not slow it: actions, and beats."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any, NamedTuple, Self

import django

BEAT = "drill"
BEAT_EACH_SECONDS = 0.1
BEAT_PATIENCE_SECONDS = 5.0
COPYING = ("sync", "verify")
_spawning = multiprocessing.get_context("spawn")


class Done(NamedTuple):
    """What an action's record says. `closed_at` is the wall clock when the first attempt began to close the primary; `parts_ms` are the
    steps of all attempts during which writes were refused.
    """

    outcome: str
    problem: str
    pause_ms: float
    attempts: int
    facts: dict[str, Any]
    seconds: float
    closed_at: float
    parts_ms: dict[str, float]


class Leader:
    """Runs one action after the other; the process that copies and compares ends before another one switches.

    Its threads, which run the copy, end with it, and the platform's worker takes them over, as after a command line.
    """

    def __init__(self) -> None:
        self._switching, self._copying = _process(), _process()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._switching.shutdown()
        self._copying.shutdown()

    def act(self, service: str, action: str) -> Done:
        """One action, as the command line runs it."""
        pool = self._copying if action in COPYING else self._switching
        return pool.submit(_act, service, action).result()

    def hand_over(self) -> None:
        """End the process that has copied and compared."""
        self._copying.shutdown()
        self._copying = _process()


def _process() -> ProcessPoolExecutor:
    """A process that is started when it gets its first action."""
    return ProcessPoolExecutor(1, mp_context=_spawning, initializer=django.setup)


def _act(service: str, action: str) -> Done:
    from apps.extraction.pipeline.actions import ACTIONS
    from apps.extraction.state.action import FAILURES
    from apps.extraction.state.initiator import Initiator
    from apps.extraction.state.models import Move

    problem = ""
    try:
        ACTIONS[action].perform(service, Initiator("drill", "make drill-move"))
    except FAILURES as error:
        problem = f"{type(error).__name__}: {error}"
    move = Move.objects.filter(service=service, verb=action).latest("started_at")
    closing = [step["at_ms"] for step in move.steps if step["step"] == "close"]
    parts = {
        name: round(sum(step.get("took_ms", 0.0) for step in move.steps if step["step"] == name), 1)
        for name in ("close", "marker", "open")
    }
    took = (move.ended_at - move.started_at).total_seconds() if move.ended_at else 0.0
    return Done(
        move.outcome,
        problem or move.problem,
        move.pause_ms or 0.0,
        move.attempts or 0,
        move.facts,
        took,
        move.started_at.timestamp() + closing[0] / 1000 if closing else 0.0,
        parts,
    )


@contextmanager
def beating(service: str) -> Iterator[list[float]]:
    """Beats from the primary to the other database for as long as the block lasts; the lags in ms, filled at its end."""
    lags_ms: list[float] = []
    stop, (ours, theirs) = _spawning.Event(), _spawning.Pipe(duplex=False)
    process = _spawning.Process(target=_beat, args=(service, stop, theirs), name="beats", daemon=True)
    process.start()
    theirs.close()
    _received(ours)  # beats have begun: the shortest block has some
    try:
        yield lags_ms
    finally:
        stop.set()
        lags_ms.extend(_received(ours))
        process.join(30)


def _received(pipe: Connection) -> list[float]:
    try:
        return list(pipe.recv())
    except EOFError:
        raise RuntimeError("the process that measures the lag has died") from None


def _beat(service: str, stop: Event, output: Connection) -> None:
    django.setup()
    from apps.core.postgres import fences, replication
    from apps.extraction.state import stages

    lags_ms: list[float] = []
    with stages.pair(service) as pair:
        while not stop.wait(BEAT_EACH_SECONDS):
            writable = [alias for alias in (stages.SHARED, service) if fences.is_writable(pair.side(alias), service)]
            if not writable:
                continue  # no database accepts writes now: there is no lag to measure
            writer, reader = pair.side(writable[0]), pair.side(pair.other(writable[0]))
            try:
                seconds = replication.beat(writer, reader, service, seconds=BEAT_PATIENCE_SECONDS, name=BEAT)
            except replication.TooSlow:
                seconds = BEAT_PATIENCE_SECONDS
            lags_ms.append(seconds * 1000)
            if len(lags_ms) == 2:
                output.send(lags_ms)
    output.send(lags_ms)
