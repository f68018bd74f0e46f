"""Identifiers: UUID version 7 (RFC 9562, section 5.7), so that new rows are adjacent in an index."""

import secrets
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def new_id() -> uuid.UUID:
    """A UUIDv7, increasing within this process: milliseconds, their 4096ths, 62 random bits (section 6.2, method 3)."""
    global _last
    nanoseconds = time.time_ns()
    moment = nanoseconds // 1_000_000 << 12 | nanoseconds % 1_000_000 * 4096 // 1_000_000
    with _lock:
        _last = moment = max(moment, _last + 1)
    milliseconds, fraction = moment >> 12, moment & 0xFFF
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | secrets.randbits(62))
