"""Compares the answers of a service's two sides: field by field, by meaning and not by bytes, with noise set apart.

Pure: the calls to make are passed in. Values are compared as the contract decodes them, so that 1.50 and 1.5 or Z and
+00:00 do not differ, and fields that no caller knows do not count.
"""

from __future__ import annotations

import enum
import hmac
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from django.conf import settings

from apps.core.interface.errors import DomainError
from apps.core.interface.operations import Operation
from apps.core.seam.answer import Answer

WHOLE = "(answer)"
MAX_FIELDS = 50


class Verdict(enum.StrEnum):
    """The outcome of a comparison."""

    MATCH = "match"
    MISMATCH = "mismatch"
    NOISE = "noise"  # they differed, but so did two answers of one side, or both agreed when asked again
    FAILED = "failed"  # the other side gave no answer


class Failure(NamedTuple):
    """Why a side gave no answer."""

    reason: str


class Finding(NamedTuple):
    """`fields` differ between the sides; `noise` differed between two answers of one side. Paths like `items[].price`.

    `asked_twice`: the primary was asked again although nothing differed (A/A); the noise is measured among these.
    """

    verdict: Verdict
    fields: tuple[str, ...]
    noise: tuple[str, ...]
    asked_twice: bool
    primary: Any
    other: Any


Ask = Callable[[], "Answer | Failure"]


def compare(
    operation: Operation, answer: Answer, ask_other: Ask, ask_primary: Ask, *, always_twice: bool = False
) -> Finding:
    """Ask the other side and compare.

    Where the answers differ, both sides are asked once more: a field counts only if the sides still differ in it and
    the primary agrees with itself (A/A). `always_twice` asks the primary again in any case, which measures the noise
    where nothing differs.
    """
    primary, other = _value(operation, answer), _value(operation, ask_other())
    differing = set(differences(operation, primary, other))
    noise: set[str] = set()
    if (differing and not isinstance(other, Failure)) or always_twice:
        again = _value(operation, ask_primary())
        if isinstance(again, Failure):  # a failure now proves nothing about the first answer
            again = primary
        noise = set(differences(operation, primary, again))
        other_again = _value(operation, ask_other()) if differing else other
        if differing and not isinstance(other_again, Failure):  # a failure now does not undo the first answer
            confirmed = differing & set(differences(operation, again, other_again)) - noise
            noise |= differing - confirmed
            differing = confirmed
    if isinstance(other, Failure):
        verdict = Verdict.FAILED
    elif differing:
        verdict = Verdict.MISMATCH
    else:
        verdict = Verdict.NOISE if noise else Verdict.MATCH
    fields, noisy = (tuple(sorted(names))[:MAX_FIELDS] for names in (differing, noise))
    return Finding(verdict, fields, noisy, always_twice, primary, other)


def _value(operation: Operation, answer: Answer | Failure) -> Any:
    """The value that a caller would get: the result, the refusal, or a failure."""
    if isinstance(answer, Failure):
        return answer
    if answer.refusal is not None:
        return answer.refusal
    if answer.result is not msgspec.UNSET:
        return answer.result
    try:
        return operation.decode_result(answer.body)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        return Failure(f"another shape: {error}")


def differences(operation: Operation, first: Any, second: Any) -> Iterator[str]:
    """The paths at which two values differ, apart from fields that the interface declares as varying."""
    yield from _differences(operation, first, second, "")


def _differences(operation: Operation, first: Any, second: Any, path: str) -> Iterator[str]:
    if path in operation.varies:
        return
    if isinstance(first, DomainError) and isinstance(second, DomainError):
        first, second = _refusal(first), _refusal(second)
    if type(first) is not type(second):
        yield path or WHOLE
    elif isinstance(first, msgspec.Struct):
        for name in first.__struct_fields__:
            yield from _differences(operation, getattr(first, name), getattr(second, name), _join(path, name))
    elif isinstance(first, dict):
        for name in sorted(first.keys() | second.keys()):
            yield from _differences(operation, first.get(name), second.get(name), _join(path, str(name)))
    elif isinstance(first, tuple | list):
        if path in operation.any_order:
            first, second = sorted(first, key=msgspec.json.encode), sorted(second, key=msgspec.json.encode)
        if len(first) != len(second):
            yield f"{path}[] (count)"
        for left, right in zip(first, second, strict=False):
            yield from _differences(operation, left, right, f"{path}[]")
    elif first != second:
        yield path or WHOLE


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _refusal(error: DomainError) -> dict[str, Any]:
    return {"refusal": error.code, "fields": msgspec.to_builtins(error.fields)}


def masked(value: Any) -> Any:
    """A value fit for storage: every free text as a keyed digest, so that two can be compared and none can be read.

    Ids, enum codes, numbers and times stay. All texts are masked, because a list of personal fields could be
    incomplete.
    """
    if isinstance(value, Failure):
        return {"failed": value.reason.split(":")[0]}
    if isinstance(value, DomainError):
        return {"refusal": value.code, "fields": masked(value.fields)}
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        fields = {name: masked(getattr(value, name)) for name in value.__struct_fields__}
        return {"type": tag, **fields} if tag else fields
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {name: masked(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [masked(item) for item in value]
    if isinstance(value, str | bytes | msgspec.Raw):
        return _digest(value.encode() if isinstance(value, str) else bytes(value))
    return value if value is None or isinstance(value, bool | int) else str(value)


def _digest(content: bytes) -> str:
    """Keyed, because a name or an address can be guessed and a plain digest compared."""
    return f"text {hmac.digest(_key(settings.COMMAND_DIGEST_SECRET), content, 'sha256').hex()[:12]}" if content else ""


@lru_cache(maxsize=4)
def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"shadow", "sha256")
