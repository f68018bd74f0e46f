"""The definition of a service: a Protocol whose methods are marked `query` or `command`, and the key that names it.

Everything else (client, endpoint, OpenAPI, checks) is derived from the `Operation`s that `ServiceKey.operations` reads
from the Protocol.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, get_type_hints, overload

import msgspec

from apps.core.interface.context import CallContext
from apps.core.interface.errors import InvalidArguments

P = TypeVar("P")
Params = ParamSpec("Params")
Result = TypeVar("Result")
PATH = "/internal/seam"
_MARK = "__seam_operation__"
# For one attempt on one side. A query takes milliseconds; a side that needs a second counts as down. A command may
# first have to wait for a hanging delivery, which the database ends after two seconds.
QUERY_TIMEOUT_MS = 1_000
COMMAND_TIMEOUT_MS = 2_500


class Kind(enum.StrEnum):
    """A query reads and may be repeated; a command changes and is repeated only under its key."""

    QUERY = "query"
    COMMAND = "command"


class Mark(NamedTuple):
    """The properties that `@query` and `@command` add to a method's signature.

    `timeout_ms` bounds one attempt on one side. `varies` names fields of the answer that legitimately differ between
    two calls (a URL signed with the time), `any_order` the lists without a meaningful order; "" is the answer itself.
    `may_lag` queries decide nothing: a replica may answer them. `refused` decides whether a command's answer is a
    refusal, where a refusal is an answer because the command stored something.
    """

    kind: Kind
    timeout_ms: int
    varies: tuple[str, ...] = ()
    any_order: tuple[str, ...] = ()
    may_lag: bool = False
    refused: Callable[[Any], bool] | None = None


@overload
def query(method: Callable[Params, Result], /) -> Callable[Params, Result]: ...
@overload
def query(
    *, timeout_ms: int = ..., varies: tuple[str, ...] = ..., any_order: tuple[str, ...] = ..., may_lag: bool = ...
) -> Callable[[Callable[Params, Result]], Callable[Params, Result]]: ...
def query(
    method: Callable[..., Any] | None = None,
    /,
    *,
    timeout_ms: int = QUERY_TIMEOUT_MS,
    varies: tuple[str, ...] = (),
    any_order: tuple[str, ...] = (),
    may_lag: bool = False,
) -> Any:
    """Mark a Protocol method that only reads.

    `may_lag`: a replica may answer, so the most recent writes of other people may be missing.
    """
    return _marked(method, Mark(Kind.QUERY, timeout_ms, varies, any_order, may_lag))


@overload
def command(method: Callable[Params, Result], /) -> Callable[Params, Result]: ...
@overload
def command(
    *, timeout_ms: int = ..., varies: tuple[str, ...] = ..., refused: Callable[[Any], bool] | None = ...
) -> Callable[[Callable[Params, Result]], Callable[Params, Result]]: ...
def command(
    method: Callable[..., Any] | None = None,
    /,
    *,
    timeout_ms: int = COMMAND_TIMEOUT_MS,
    varies: tuple[str, ...] = (),
    refused: Callable[[Any], bool] | None = None,
) -> Any:
    """Mark a Protocol method that changes something, exactly once per command key."""
    return _marked(method, Mark(Kind.COMMAND, timeout_ms, varies, refused=refused))


def _marked(method: Callable[..., Any] | None, mark: Mark) -> Any:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        setattr(function, _MARK, mark)
        return function

    return decorate if method is None else decorate(method)


class Operation:
    """One method of a service, with its codec."""

    def __init__(self, service: str, name: str, mark: Mark, function: Callable[..., Any]) -> None:
        self.service = service
        self.name = name
        self.path = f"{PATH}/{service}/{name}"
        self.kind = mark.kind
        self.timeout_ms = mark.timeout_ms
        self.varies = mark.varies
        self.any_order = mark.any_order
        self.may_lag = mark.may_lag
        self._refused = mark.refused
        self.function = function
        hints = get_type_hints(function, include_extras=True)
        self.result_type: Any = hints.pop("return", type(None))
        self.first_hint = hints.pop("ctx", None)
        self.parameters = {
            parameter.name: parameter
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name not in {"self", "ctx"}
        }
        self.hints = {parameter: hints.get(parameter, Any) for parameter in self.parameters}
        self.encode_result = msgspec.json.Encoder().encode
        self._encode = msgspec.json.Encoder().encode

    @cached_property
    def arguments_type(self) -> type[msgspec.Struct]:
        """A struct with one field per parameter; defaults are the signature's."""
        fields: list[Any] = []
        for name, parameter in self.parameters.items():
            if parameter.default is inspect.Parameter.empty:
                fields.append((name, self.hints[name]))
            else:
                fields.append((name, self.hints[name], parameter.default))
        title = "".join(part.title() for part in (self.service, *self.name.split("_")))
        return msgspec.defstruct(f"{title}Arguments", fields, frozen=True, kw_only=True)

    @cached_property
    def _decoder(self) -> Callable[[bytes], Any]:
        return msgspec.json.Decoder(self.arguments_type).decode

    @cached_property
    def decode_result(self) -> Callable[[bytes], Any]:
        """Bytes to the declared result. Raises msgspec.ValidationError or DecodeError."""
        return msgspec.json.Decoder(self.result_type).decode

    def is_refusal(self, result: Any) -> bool:
        """Whether an answer reports that the command was refused."""
        return self._refused is not None and self._refused(result)

    def encode_arguments(self, arguments: dict[str, Any]) -> bytes:
        """Keyword arguments to JSON, in the order of the signature.

        Raises: TypeError when an argument is missing or unknown, as a plain Python call would.
        """
        try:
            return self._encode(self.arguments_type(**arguments))
        except TypeError as error:
            raise TypeError(f"{self.service}.{self.name}: {error}") from None

    def digest_material(self, arguments: dict[str, Any]) -> bytes:
        """The bytes that are equal for equal calls: the arguments that differ from their defaults.

        A build with one more argument gives the same bytes for the same call, so either may finish what the other
        began.
        """
        explicit = {name: value for name, value in arguments.items() if value != self.parameters[name].default}
        return msgspec.json.encode(explicit, order="sorted")

    def decode_arguments(self, body: bytes | msgspec.Raw) -> dict[str, Any]:
        """JSON to keyword arguments.

        Raises: InvalidArguments when the JSON does not fit the signature.
        """
        try:
            decoded = self._decoder(body)
        except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
            raise InvalidArguments(problem=str(error)) from None
        return msgspec.structs.asdict(decoded)


class ServiceKey(Generic[P]):
    """Names a service and carries its Protocol, so that `call(KEY)` is typed.

    The constructor takes `Callable[..., P]`: `type[P]` does not accept a Protocol class.
    """

    def __init__(self, name: str, protocol: Callable[..., P]) -> None:
        self.name = name
        self.protocol = protocol

    @cached_property
    def operations(self) -> dict[str, Operation]:
        """The marked methods of the Protocol, by name."""
        operations: dict[str, Operation] = {}
        for name, function in inspect.getmembers(self.protocol, inspect.isfunction):
            mark = getattr(function, _MARK, None)
            if mark is not None:
                operations[name] = Operation(self.name, name, mark, function)
        return operations

    def __repr__(self) -> str:
        return f"ServiceKey({self.name!r})"


def is_context(annotation: Any) -> bool:
    """Whether an annotation is the call context's."""
    return annotation is CallContext
