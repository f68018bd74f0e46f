"""Celery: the doorbell and the clock. It carries no event; losing the broker delays and loses nothing."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "landcontracts.settings")
app = Celery("landcontracts")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
