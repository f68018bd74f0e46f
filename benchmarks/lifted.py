"""Sending this process's calls to a lifted-out service at an address, and making sure that home did not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from apps.core.observability import seam_metrics
from apps.core.seam.client import registry


class AnsweredAtHome(Exception):
    """Home answered in place of the lifted-out process, so that something else was measured than meant."""


@contextmanager
def to(url: str, service: str) -> Iterator[None]:
    """For the time of a block, the service's place away from home is this one.

    Raises: AnsweredAtHome, at the end of the block.
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
        raise AnsweredAtHome(f"{count:.0f} calls of {service}")


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
