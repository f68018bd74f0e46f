"""Sends this process's calls to a lifted-out service, and checks that none was answered locally."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from apps.core.observability import seam_metrics
from apps.core.seam.client import registry


class AnsweredLocally(Exception):
    """The local service answered in place of the lifted-out process, so that the measurement is void."""


@contextmanager
def to(url: str, service: str) -> Iterator[None]:
    """For the time of a block, the service's remote address is `url`.

    Raises: AnsweredLocally, at the end of the block.
    """
    before = settings.SEAM_AWAY
    settings.SEAM_AWAY = {**before, service: url}
    _forget()
    fallbacks = _fallbacks()
    try:
        yield
    finally:
        settings.SEAM_AWAY = before
        _forget()
    if (count := _fallbacks() - fallbacks) > 0:
        raise AnsweredLocally(f"{count:.0f} calls of {service}")


def _forget() -> None:
    registry.guarded.cache_clear()
    registry.remote.cache_clear()


def _fallbacks() -> float:
    return sum(
        sample.value
        for family in seam_metrics.fallbacks.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    )
