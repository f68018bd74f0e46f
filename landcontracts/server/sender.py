"""The sending half of a connection: what the client does not take at once is kept, for so long as it reads on."""

from __future__ import annotations

import contextlib
import socket
import struct

from landcontracts.server.options import GRACE_SECONDS, MIN_BYTES_PER_SECOND
from landcontracts.server.send_buffer import SendBuffer


class ClientGone(Exception):
    """The connection is closed."""


class Sender:
    """Sends on a socket that does not block. Its channel sees to it that one thread at a time uses it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._kept = SendBuffer()
        self._since = 0.0  # the loop began to send what was kept
        self._sent_before = 0
        self.sent = 0  # bytes, of all answers
        self.is_broken = False

    @property
    def is_empty(self) -> bool:
        """Whether all is sent."""
        return not len(self._kept)

    def send(self, data: bytes) -> None:
        """Send, and keep what the client does not take at once. Raises: ClientGone, OSError of a full disk."""
        if self.is_broken:
            raise ClientGone
        sent = self._sent(data) if self.is_empty else 0
        if self.is_broken:
            raise ClientGone
        if sent < len(data):
            self._kept.put(memoryview(data)[sent:])

    def flush(self) -> None:
        """Send of what was kept as much as the client takes."""
        while head := self._kept.head():
            if not (sent := self._sent(head)):
                return
            self._kept.skip(sent)
        self.restart()

    def _sent(self, data: bytes) -> int:
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.is_broken = True
            return 0
        self.sent += sent
        return sent

    def restart(self) -> None:
        """Begin to count the time of the next answer."""
        self._since = 0.0

    def is_read_too_slowly(self, now: float) -> bool:
        """Whether the client reads the answer more slowly than it may. `now`: of the monotonic clock."""
        if not self._since:
            self._since, self._sent_before = now, self.sent
        seconds = now - self._since
        return seconds > GRACE_SECONDS and self.sent - self._sent_before < (
            (seconds - GRACE_SECONDS) * MIN_BYTES_PER_SECOND
        )

    def drop(self) -> None:
        """Forget what was kept."""
        self._kept.clear()

    def reset_on_close(self) -> None:
        """Have the kernel drop what it still has to send: it would keep it for a client that does not read."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
