"""The judge's capital, updated at each event: the same as `evidence.capital` of all counts, at four multiplications.

It tells when to call the real judge, which makes every ruling.
"""

from __future__ import annotations

from operator import mul

from apps.extraction.routing.judge.evidence import FROM_THE_START, MORE, Multiples
from apps.extraction.routing.judge.measures import ALONE_PART, BETS, MISMATCHES_PART, Event


class Ledger:
    """One bet of 1 by some multiples, over consecutive periods."""

    def __init__(self, multiples: Multiples) -> None:
        self._multiples = multiples
        self._running = [part * FROM_THE_START for _, part in multiples]
        self._periods = 0
        self._canary: list[float] = []
        self._local: list[float] = []

    def begin(self, share: float) -> None:
        """Begin a period, in which a first is on the canary's side with probability `share`."""
        number = self._periods
        if number:
            begins = (1 - FROM_THE_START) / (number * (number + 1))
            self._running = [
                value + part * begins for value, (_, part) in zip(self._running, self._multiples, strict=True)
            ]
        self._periods = number + 1
        self._canary, self._local = [], []
        for multiple, _ in self._multiples:
            chance = share * multiple / (share * multiple + 1 - share)
            self._canary.append(chance / share)
            self._local.append((1 - chance) / (1 - share))

    def first(self, *, canary: bool) -> None:
        """Count an event that happened to a unit for the first time."""
        self._running = list(map(mul, self._running, self._canary if canary else self._local))

    @property
    def value(self) -> float:
        """The capital of the bet."""
        return sum(self._running) + (1 - FROM_THE_START) / self._periods if self._periods else 1.0


class Ledgers:
    """All bets of the judge, and their sum before any clause reduces it."""

    def __init__(self) -> None:
        self._bets = [(bet.event, bet.part, Ledger(bet.multiples)) for bet in BETS]
        self._by_event: dict[Event, list[Ledger]] = {}
        for event, _, ledger in self._bets:
            self._by_event.setdefault(event, []).append(ledger)

    def begin(self, share: float) -> None:
        """Begin a period for all bets."""
        for _, _, ledger in self._bets:
            ledger.begin(share)

    def first(self, event: Event, *, canary: bool) -> None:
        """Count an event that happened to a unit for the first time."""
        for ledger in self._by_event.get(event, ()):
            ledger.first(canary=canary)

    def value(self, mismatches: float) -> float:
        """The sum of all bets, with the evidence of mismatches as given."""
        return (
            sum(part * ledger.value for _, part, ledger in self._bets) + MISMATCHES_PART * mismatches + 2 * ALONE_PART
        )


class OneByOne:
    """A judge that takes requests as independent: the same bets, on every failure instead of on every first one.

    It is given the canary's true share of requests, which a real judge would have to estimate.
    """

    def __init__(self, share: float, false_rollback: float) -> None:
        self._ledger = Ledger(MORE)
        self._share = share
        self._limit = 1 / false_rollback

    def begin(self) -> None:
        """Begin a period."""
        self._ledger.begin(self._share)

    def failed(self, *, canary: bool) -> None:
        """Count a failed request."""
        self._ledger.first(canary=canary)

    @property
    def alarm(self) -> bool:
        """Whether it would roll back."""
        return self._ledger.value >= self._limit
