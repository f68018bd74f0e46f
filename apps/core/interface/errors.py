"""Refusals of services, and failures of the seam itself.

A refusal is a `DomainError` subclass with a stable code, typed fields and a category; it is sent by its code and raised
again as the same class on the caller's side. One table maps a category to an HTTP status.
"""

from __future__ import annotations

import enum
import errno
from typing import Any, ClassVar, dataclass_transform, get_type_hints

import msgspec


def gettext_noop(message: str) -> str:
    """Mark a message for the catalogues. Interfaces do not import Django, so the mark is ours."""
    return message


class Category(enum.StrEnum):
    """Why a call was refused; RFC 9110 status codes in `HTTP_STATUS`."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNSUPPORTED_TYPE = "unsupported_type"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"


HTTP_STATUS: dict[Category, int] = {
    Category.INVALID: 422,
    Category.UNAUTHENTICATED: 401,
    Category.FORBIDDEN: 403,
    Category.NOT_FOUND: 404,
    Category.CONFLICT: 409,
    Category.TOO_LARGE: 413,
    Category.UNSUPPORTED_TYPE: 415,
    Category.TOO_MANY: 429,
    Category.UNAVAILABLE: 503,
}

_by_code: dict[str, type[DomainError]] = {}
_fields_of: dict[type[DomainError], type[msgspec.Struct]] = {}


@dataclass_transform(kw_only_default=True, eq_default=False)
class DomainError(Exception):
    """A refusal that means the same wherever the service runs.

    Subclass with `code` and `category`, annotate the fields, and set `message`: English, with `{field}` placeholders,
    marked by `gettext_noop`.

    Raises: TypeError from the constructor when the fields given are not the fields declared.
    """

    code: ClassVar[str] = "domain_error"
    category: ClassVar[Category] = Category.INVALID
    message: ClassVar[str] = gettext_noop("The request was refused.")

    def __init_subclass__(cls, *, code: str = "", category: Category | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not code:
            return
        registered = _by_code.get(code)
        if registered is not None and registered.__qualname__ != cls.__qualname__:
            raise TypeError(f"{code} already belongs to {registered.__qualname__}")
        cls.code = code
        cls.category = category or cls.category
        _by_code[code] = cls

    def __init__(self, **fields: Any) -> None:
        self.fields = fields_type(type(self))(**fields)
        for name, value in fields.items():
            setattr(self, name, value)
        super().__init__(self.code)

    def __str__(self) -> str:
        return self.message.format(**self.words())

    def words(self) -> dict[str, Any]:
        """The values of the message's placeholders: the fields, and the properties that put them into words."""
        kind = type(self)
        properties = [name for name in dir(kind) if isinstance(getattr(kind, name), property)]
        return {name: getattr(self, name) for name in (*properties, *self.fields.__struct_fields__)}


def fields_type(cls: type[DomainError]) -> type[msgspec.Struct]:
    """The struct of an error's declared fields, used by its constructor, its codec and its OpenAPI schema."""
    if cls not in _fields_of:
        _fields_of[cls] = _declared_fields(cls)
    return _fields_of[cls]


def _declared_fields(cls: type[DomainError]) -> type[msgspec.Struct]:
    hints = get_type_hints(cls, include_extras=True)
    base = get_type_hints(DomainError, include_extras=True)
    fields = [(name, kind) for name, kind in hints.items() if name not in base]
    return msgspec.defstruct(f"{cls.__name__}Fields", fields, frozen=True, kw_only=True, module=cls.__module__)


class WireError(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal on the wire."""

    code: str
    category: Category
    fields: msgspec.Raw = msgspec.Raw(b"{}")


class UnknownRefusal(DomainError):
    """A refusal whose code this build does not know: an older caller of a newer service."""

    def __init__(self, *, code: str, category: Category) -> None:
        super().__init__()
        self.code = code  # type: ignore[misc]  # an instance speaks for a class that this build does not have
        self.category = category  # type: ignore[misc]  # likewise


def to_wire(error: DomainError) -> bytes:
    """Encode a refusal for the wire."""
    fields = msgspec.Raw(msgspec.json.encode(error.fields))
    return msgspec.json.encode(WireError(code=error.code, category=error.category, fields=fields))


def from_wire(body: bytes) -> DomainError:
    """The refusal that `to_wire` encoded, as the class its code names.

    Raises: msgspec.ValidationError or DecodeError when the body is no refusal.
    """
    wire = msgspec.json.decode(body, type=WireError)
    cls = _by_code.get(wire.code)
    if cls is None:
        return UnknownRefusal(code=wire.code, category=wire.category)
    fields = msgspec.json.decode(wire.fields, type=fields_type(cls))
    return cls(**{name: getattr(fields, name) for name in fields.__struct_fields__})


def known_errors() -> dict[str, type[DomainError]]:
    """Every refusal that this process can raise, by code."""
    return dict(_by_code)


class InvalidArguments(DomainError, code="invalid_arguments", category=Category.INVALID):
    """Arguments that do not fit the operation's declared types."""

    message = gettext_noop("The arguments do not fit: {problem}")
    problem: str


class CommandKeyReused(DomainError, code="idempotency_key_reused", category=Category.INVALID):
    """The key was used before with other arguments (draft-ietf-httpapi-idempotency-key-header, section 2.7)."""

    message = gettext_noop("This idempotency key was used before with different content.")


class ServiceBusy(DomainError, code="service_busy", category=Category.UNAVAILABLE):
    """The service could not finish within the caller's time; nothing was done or the same key finds what was."""

    message = gettext_noop("The service is busy. Please try again.")


class Forbidden(DomainError, code="forbidden", category=Category.FORBIDDEN):
    """The actor may see this and may not do it."""

    message = gettext_noop("Your role does not allow this.")


_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_no_space(error: BaseException | None) -> bool:
    """Whether an error, or its cause, is that of a full disk: no fault of the program, and over when there is room."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            return True
        error = error.__cause__ or error.__context__
    return False


class SeamError(Exception):
    """A fault of the seam or of its use, not a refusal: never part of an interface."""


class SeamCallInTransaction(SeamError):
    """A service was called while a database transaction was open (invariant 2, docs/invariants.md)."""


class CommandNotFinished(SeamError):
    """A command returned without `work.finish(answer)`, so that nothing was stored under its key."""


class FailureKind(enum.StrEnum):
    """How a remote call failed; a metric label."""

    UNREACHABLE = "unreachable"  # no connection
    TIMEOUT = "timeout"  # no whole answer in time
    BROKEN = "broken"  # the answer ended early or is no answer
    FAULT = "fault"  # an HTTP error without a typed refusal: the process runs and something in it is wrong
    FULL = "full"  # too many calls under way in this process; nothing was sent
    OPEN = "open"  # the circuit breaker is open; nothing was sent
    BUSY = "busy"  # the process refused for lack of time or of free threads


class RemoteCallFailed(SeamError):
    """No complete, parsed answer arrived. `may_have_executed` is False only when nothing was sent."""

    def __init__(self, reason: str, *, may_have_executed: bool, kind: FailureKind = FailureKind.BROKEN) -> None:
        super().__init__(reason)
        self.may_have_executed = may_have_executed
        self.kind = kind
