"""WSGI: the seam's endpoint first, without Django's handler (14 us a call against 145 to 171), then everything else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

from apps.core.monitoring import processes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "landcontracts.settings")
processes.join()  # before any metric is made
django_application = get_wsgi_application()

from apps.core.seam import endpoint, metrics  # noqa: E402 - needs the settings
from apps.core.seam.service import PATH  # noqa: E402 - likewise

if processes.folder() is not None:
    metrics.keep_fresh()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Route by the decoded path."""
    if environ["PATH_INFO"].startswith(f"{PATH}/"):
        return endpoint.application(environ, start_response)
    response: Iterable[bytes] = django_application(environ, start_response)
    return response
