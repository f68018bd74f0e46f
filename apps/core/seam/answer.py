"""The answer of a call, from either side: the caller's end and the answering end share this type."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.core.interface import errors


class Answer(msgspec.Struct, frozen=True):
    """The outcome of an operation: a result or a refusal, already encoded in both cases.

    `result` is the decoded body where a transport had to decode it to know that it is whole. `by` is the (side,
    process) that answered where the call went to another one first; `because` is then the kind of that one's failure.
    """

    body: bytes
    refusal: errors.DomainError | None = None
    result: Any = msgspec.UNSET
    by: tuple[str, str] | None = None
    because: str = ""
