"""What a connection still has to send: a little in memory, the rest on disk."""

from __future__ import annotations

import tempfile
from typing import IO

from landcontracts.server.options import KIB, MIB

IN_MEMORY_BYTES = MIB
PIECE_BYTES = 256 * KIB


class SendBuffer:
    """Bytes in their order. Its channel sees to it that one thread at a time uses it."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._written = self._read = 0

    def __len__(self) -> int:
        return self._written - self._read

    def put(self, data: bytes | memoryview) -> None:
        """Add bytes at the end. Raises: OSError of a full disk."""
        if self._file is None:
            self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed in `clear`
        self._file.seek(self._written)
        self._file.write(data)
        self._written += len(data)

    def head(self) -> bytes:
        """The next bytes, which stay until `skip`."""
        if self._file is None:
            return b""
        self._file.seek(self._read)
        return self._file.read(PIECE_BYTES)

    def skip(self, count: int) -> None:
        """Forget so many bytes at the beginning, which were sent."""
        self._read += count
        if self._read == self._written:
            self.clear()

    def clear(self) -> None:
        """Forget all."""
        if self._file is not None:
            self._file.close()
        self._file, self._written, self._read = None, 0, 0
