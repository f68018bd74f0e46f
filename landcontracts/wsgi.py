"""WSGI: the seam's endpoint first, without Django's handler (14 us a call against 145 to 171), then everything else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from django.core.wsgi import get_wsgi_application

from apps.core.observability import multiprocess

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "landcontracts.settings")
multiprocess.join()  # before any metric is created
django_application = get_wsgi_application()

from django.conf import settings  # noqa: E402 - needs the settings

from apps.core.health import registry  # noqa: E402 - likewise
from apps.core.interface.operations import PATH  # noqa: E402 - likewise
from apps.core.observability import seam_metrics  # noqa: E402 - likewise
from apps.core.seam.server import endpoint  # noqa: E402 - likewise
from landcontracts.server.policy import Policy  # noqa: E402 - likewise

import_module(settings.ROOT_URLCONF)  # pages and probes are loaded before the first request, not by it
registry.load()
policy = Policy()  # for our web server; another one does without

if multiprocess.folder() is not None:
    seam_metrics.keep_fresh()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Route by the decoded path: seam calls to the seam's endpoint, all others to Django."""
    if environ["PATH_INFO"].startswith(f"{PATH}/"):
        return endpoint.application(environ, start_response)
    response: Iterable[bytes] = django_application(environ, start_response)
    return response
