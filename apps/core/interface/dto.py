"""The form of all data that crosses the seam: frozen, keyword-only structs of plain types.

Here: the base class, the field types shared by all interfaces, and the check that refuses types which cannot be
encoded. Not here: any app's own DTO.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, dataclass_transform

import msgspec
from msgspec import Meta, inspect

MAX_INLINE_BYTES = 64 * 1024

# JSON admits U+0000 in a string and PostgreSQL does not: refused here, where the caller gets a typed error.
NO_NUL = r"^[^\u0000]*$"
Line = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^(?=.*\S)[^\u0000-\u001f]*$(?!\n)")]
Text = Annotated[str, Meta(max_length=20_000, pattern=NO_NUL)]
Instant = Annotated[datetime, Meta(tz=True)]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _DtoMeta(msgspec.StructMeta):
    """Makes `frozen` and `kw_only` the default; msgspec inherits only the first."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> Any:
        return super().__new__(mcs, name, bases, namespace, **{"frozen": True, "kw_only": True, **config})


class Dto(msgspec.Struct, metaclass=_DtoMeta):
    """A value that crosses the seam. Unknown fields are ignored, so that an older reader understands a newer writer."""


class RequestBody(Dto, forbid_unknown_fields=True):
    """What a program sends over REST. A field we do not know is refused: it is most likely a misspelt one."""


def exact(amount: Decimal, *, places: int, minimum: Decimal, maximum: Decimal) -> None:
    """Refuse a decimal that is not finite, not in range, or finer than `places` digits after the point.

    msgspec constrains no Decimal and admits NaN and 1e1000000.

    Raises: ValueError, which msgspec reports as a validation error with the field's path.
    """
    if not amount.is_finite() or not minimum <= amount <= maximum:
        raise ValueError(f"Expected a decimal number from {minimum} to {maximum}")
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -places:
        raise ValueError(f"Expected at most {places} digits after the decimal point")


def shape_faults(annotation: Any, where: str) -> Iterator[str]:
    """Why a value of this type may not cross the seam, one sentence per fault; nothing when it may."""
    try:
        info = inspect.type_info(annotation)
    except (TypeError, NameError) as error:
        yield f"{where}: {error}"
        return
    yield from _faults(info, where, set())


def _faults(info: inspect.Type, where: str, seen: set[type]) -> Iterator[str]:
    match info:
        case inspect.Metadata(type=inner):
            yield from _faults(inner, where, seen)
        case inspect.StructType(cls=cls, fields=fields):
            if cls in seen:
                return
            seen.add(cls)
            if not cls.__struct_config__.frozen:
                yield f"{where}: {cls.__name__} is mutable"
            for field in fields:
                yield from _faults(field.type, f"{where}.{field.name}", seen)
        case inspect.VarTupleType(item_type=item):
            yield from _faults(item, f"{where}[]", seen)
        case inspect.TupleType(item_types=items):
            for item in items:
                yield from _faults(item, f"{where}[]", seen)
        case inspect.UnionType(types=types):
            for item in types:
                yield from _faults(item, where, seen)
        case inspect.DateTimeType(tz=tz):
            if tz is not True:
                yield f"{where}: a time without a zone; use Instant"
        case inspect.BytesType(max_length=limit):
            if limit is None or limit > MAX_INLINE_BYTES:
                yield f"{where}: bytes of unbounded length; let a handle cross instead"
        case inspect.FloatType():
            yield f"{where}: a float; use Decimal or an integer"
        case _ if isinstance(info, _PLAIN):
            return
        case _:
            yield f"{where}: {type(info).__name__.removesuffix('Type').lower()} is mutable or untyped"


_PLAIN = (
    inspect.NoneType,
    inspect.BoolType,
    inspect.IntType,
    inspect.StrType,
    inspect.UUIDType,
    inspect.DecimalType,
    inspect.DateType,
    inspect.EnumType,
    inspect.LiteralType,
)
