"""The server's options, limits and times: those of the command line, and those of the environment."""

from __future__ import annotations

import os
from typing import NamedTuple

KIB, MIB = 1024, 1024 * 1024
# A request's line and headers arrive within this time, and a connection sends its first byte.
HEADER_SECONDS = float(os.environ.get("WEB_HEADER_SECONDS", "10"))
# After this time a body, or a client that reads an answer, must have had this many bytes a second from the beginning.
GRACE_SECONDS = float(os.environ.get("WEB_GRACE_SECONDS", "10"))
MIN_BYTES_PER_SECOND = 8 * KIB
PAUSE_SECONDS = 3 * GRACE_SECONDS  # of a client that was faster
# For a whole body, and for that of a file: 50 MB at 450 kbit/s.
BODY_SECONDS = float(os.environ.get("WEB_BODY_SECONDS", "60"))
HEAVY_BODY_SECONDS = float(os.environ.get("WEB_FILE_SECONDS", "900"))
CROWDED_BYTES_PER_SECOND = 8 * MIN_BYTES_PER_SECOND  # of files, while half of the places for them are taken
IDLE_SECONDS = float(os.environ.get("WEB_IDLE_SECONDS", "75"))  # a kept connection without a request
LINGER_SECONDS = 3.0  # after a refusal, what the client still sends is read and dropped, so that it reads the refusal
MAX_CONNECTIONS = int(os.environ.get("WEB_MAX_CONNECTIONS", "2000"))
MAX_HEADER = 64 * KIB
MAX_FIELDS, MAX_FIELD = 128, 8 * KIB  # as other servers have it; of an address too
# Python's reader of cookies before 3.11.10 takes the square of their backslashes (CVE-2024-7592).
MAX_BACKSLASHES = 1000
IN_MEMORY = 64 * KIB  # of one body; the rest is on disk
# A body past this size is received only once it is known who sends it.
UNASKED_BYTES = 64 * KIB
# So many requests wait for a thread; one more is refused at once (503), and one that has waited longer than this too.
# The first bound is for too many clients, the second for answers that take too long: then their callers have gone.
MAX_WAITING = int(os.environ.get("WEB_MAX_WAITING", "128"))
MAX_WAIT_SECONDS = float(os.environ.get("WEB_MAX_WAIT_SECONDS", "5"))
HEAVY_MAX_WAIT_SECONDS = 30.0
# Expensive requests of one person (429 past it), and of all (503), that are received, waiting or answered.
HEAVY_PER_PERSON = int(os.environ.get("WEB_HEAVY_PER_PERSON", "6"))
HEAVY_IN_ALL = int(os.environ.get("WEB_HEAVY_IN_ALL", "48"))
STOP_SECONDS = 12.0  # for the answers under way, after SIGTERM


class Options(NamedTuple):
    """The command line (`__main__.py`)."""

    bind: str
    inner: str
    workers: int
    threads: int
    heavy_threads: int
    application: str


def inner_of(bind: str) -> str:
    """The operator's address beside a public one, unless another is given: the next port, on loopback. None of a socket."""
    port = bind.rpartition(":")[2]
    return "" if bind.startswith("unix://") or not port.isdigit() else f"127.0.0.1:{int(port) + 1}"
