"""Which host names are answered: `ALLOWED_HOSTS`, and any for probes."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

from apps.core.rest.middleware import PROBES


class HostNames(CommonMiddleware):
    """Django's, except that a probe is answered at any name.

    Health checks, Prometheus and the other services ask a container by its own name, which is no public one; a probe
    writes no address that is made of it.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Refuse a name that is not ours. Raises: DisallowedHost."""
        return None if request.path_info in PROBES else super().process_request(request)
