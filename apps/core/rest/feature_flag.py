"""`@feature_flag("name", otherwise=legacy)`: the new implementation where the flag is on for an actor, else the old."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from apps.core.flags import snapshot
from apps.core.interface.context import CallContext
from apps.core.rest.authentication import actor_of

Params = ParamSpec("Params")
Result = TypeVar("Result")


def feature_flag(
    name: str, *, otherwise: Callable[Params, Result]
) -> Callable[[Callable[Params, Result]], Callable[Params, Result]]:
    """Keep an old implementation beside a new one, person by person.

    The decorated callable is a view (its request is the first argument, or the second after `self`) or takes `ctx`.
    Callers without an identity get the old implementation until the flag is at 100 % or on for everyone. A warm
    decision costs no query.

    Raises (from the call): TypeError when neither a request nor a context is among the arguments.
    """

    def decorate(function: Callable[Params, Result]) -> Callable[Params, Result]:
        @wraps(function)
        def chosen(*args: Params.args, **kwargs: Params.kwargs) -> Result:
            if snapshot.is_on(name, _actor(args, kwargs)):
                return function(*args, **kwargs)
            return otherwise(*args, **kwargs)

        return chosen

    return decorate


def _actor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    for candidate in (kwargs.get("ctx"), kwargs.get("request"), *args[:2]):
        if isinstance(candidate, CallContext):
            return str(candidate.actor.id or "")
        if hasattr(candidate, "META") and hasattr(candidate, "user"):
            return str(actor_of(candidate.user).id or "")
    raise TypeError("a flagged callable takes a request or a ctx")
