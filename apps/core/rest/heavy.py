"""Marks the endpoints that are expensive: files, signatures, reports. The web server answers them in a lane of their own.

Here: the mark, and how a request's path finds it. Not here: lanes and limits (`landcontracts/server`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve

from apps.core.rest import paths

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__heavy__"


def heavy(*, body_bytes: int = 0) -> Callable[[F], F]:
    """Mark a view, or a method of a view class, as expensive. `body_bytes`: how long its body may be, where it is a
    file.
    """

    def decorate(function: F) -> F:
        setattr(function, MARK, body_bytes)
        return function

    return decorate


def weight_of(method: str, path: str) -> int | None:
    """The `body_bytes` of an expensive endpoint; None for any other. `path` is decoded."""
    path = paths.usual(path)
    if path.rstrip("/").rpartition("/")[2] not in _last_parts():
        return None
    try:
        found = resolve(path).func
    except Resolver404:
        return None
    name = "get" if method == "HEAD" else method.lower()  # a view answers HEAD by its GET
    handler = getattr(_class_of(found), name, None) if _class_of(found) else found
    weight: int | None = getattr(handler, MARK, None)
    return weight


@cache
def _last_parts() -> frozenset[str]:
    """The last parts of the paths of expensive endpoints, by which most other paths are known at once.

    Raises: ImproperlyConfigured where the last part of such a path is not fixed.
    """
    last = {pattern.rstrip("/").rpartition("/")[2] for pattern in _patterns(get_resolver().url_patterns, "")}
    if variable := [part for part in last if "<" in part or not part]:
        raise ImproperlyConfigured(f"the path of an expensive endpoint ends in a fixed part, and not in {variable}")
    return frozenset(last)


def _patterns(entries: list[Any], prefix: str) -> Iterator[str]:
    for entry in entries:
        path = f"{prefix}{entry.pattern}"
        if isinstance(entry, URLResolver):
            yield from _patterns(entry.url_patterns, path)
        elif isinstance(entry, URLPattern):
            view = _class_of(entry.callback)
            handlers = [getattr(view, name, None) for name in view.http_method_names] if view else [entry.callback]
            if any(hasattr(handler, MARK) for handler in handlers):
                yield path


def _class_of(view: Any) -> Any:
    return getattr(view, "view_class", None) or getattr(view, "cls", None)
