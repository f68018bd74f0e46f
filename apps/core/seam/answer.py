"""What a call gives, from whichever side: the caller's end and the answering end both know this shape."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.core.interface import errors


class Answer(msgspec.Struct, frozen=True):
    """What executing an operation gave: a result or a refusal, either way already encoded.

    `result` is the decoded body where a transport had to decode it to know that it is whole. `by` is who answered where that is
    not whom the call went to first: (side, process); `because` is then the kind of failure.
    """

    body: bytes
    refusal: errors.DomainError | None = None
    result: Any = msgspec.UNSET
    by: tuple[str, str] | None = None
    because: str = ""
