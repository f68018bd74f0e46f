"""The worker's entry point: forgetting old comparisons."""

from __future__ import annotations

from celery import shared_task

from apps.extraction import recorder


@shared_task(name="extraction.forget")
def forget() -> None:
    """Old comparisons."""
    recorder.forget()
