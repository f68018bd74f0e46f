"""A circuit breaker per service: a side that does not answer gets no calls for a while, then one trial call.

Not pybreaker, because one call may not wait for another: it holds its lock while the guarded call runs, and lets every
caller through when half-open (ADR 0012).
"""

from __future__ import annotations

import enum
import threading
import time

from apps.core.observability import seam_metrics

IN_A_ROW = 0b11111
WINDOW = (1 << 20) - 1
HALF_OF_WINDOW = 10
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 2.0


class Admission(enum.Enum):
    """Whether a call is refused, sent, or sent as the trial."""

    NONE = "none"
    CALL = "call"
    TRIAL = "trial"


class Breaker:
    """Opens after five failures in a row or ten among the last twenty calls; open for 0.5 s, doubling up to 2 s."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._recent = 0  # a bit per call, the latest lowest; 1 is a failure
        self._pause = 0.0  # seconds; 0 while closed
        self._retry_at = 0.0
        self._lock = threading.Lock()
        seam_metrics.breaker_open.labels(service).set(0)

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, apart from the trial."""
        return self._pause > 0

    def admits(self) -> Admission:
        """Whether a call may be sent: always while closed; while open, one trial after each pause."""
        if not self._pause:
            return Admission.CALL
        with self._lock:
            now = time.monotonic()
            if not self._pause:
                return Admission.CALL
            if now < self._retry_at:
                return Admission.NONE
            # This call is the trial. If its thread dies, the next trial follows after another pause.
            self._retry_at = now + self._pause
            return Admission.TRIAL

    def succeeded(self) -> None:
        """Record that a whole answer arrived."""
        if not self._recent and not self._pause:
            return
        with self._lock:
            self._recent = self._recent << 1 & WINDOW
            if self._pause:
                self._recent, self._pause = 0, 0.0
                seam_metrics.breaker_open.labels(self._service).set(0)

    def failed(self, *, was: Admission) -> None:
        """Record that none arrived. While open only a trial's failure counts: the other calls were under way before."""
        with self._lock:
            self._recent = (self._recent << 1 | 1) & WINDOW
            if self._pause:
                if was is not Admission.TRIAL:
                    return
                self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            elif self._recent & IN_A_ROW == IN_A_ROW or self._recent.bit_count() >= HALF_OF_WINDOW:
                self._pause = FIRST_PAUSE_SECONDS
                seam_metrics.breaker_opened.labels(self._service).inc()
                seam_metrics.breaker_open.labels(self._service).set(1)
            self._retry_at = time.monotonic() + self._pause
