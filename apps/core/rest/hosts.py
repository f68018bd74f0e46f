"""Which host names are answered: `ALLOWED_HOSTS`, and any for probes."""

from __future__ import annotations

import structlog
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.middleware.common import CommonMiddleware

from apps.core.rest.middleware import PROBES

log = structlog.get_logger(__name__)


class HostNames(CommonMiddleware):
    """Django's, except that a probe is answered at any name.

    Health checks, Prometheus and the other services ask a container by its own name, which is no public one; a probe
    writes no address that is made of it.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:  # type: ignore[override]  # Django takes any
        """Refuse a name that is not ours: one line in the log, because any stranger may send thousands of them."""
        if request.path_info in PROBES:
            return None
        try:
            return super().process_request(request)
        except DisallowedHost:
            log.info("host_not_allowed")
            return HttpResponseBadRequest("This host is not served here.\n", content_type="text/plain")
