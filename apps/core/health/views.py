"""Liveness, readiness, metrics, public keys, and Django's own errors under `/api/`."""

from __future__ import annotations

import msgspec
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.utils.translation import gettext
from django_prometheus.exports import ExportToDjangoView

from apps.core.health import probes, registry
from apps.core.observability import multiprocess, scrape_registry, seam_metrics
from apps.core.rest.keys import keyring
from apps.core.rest.problems import response


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse(b'{"status":"ok"}', content_type="application/json")


# Set by our web server for requests at the operator's address (INNER_BIND).
INNER = "landcontracts.inner"
_recent = probes.Recent()


def readyz(request: HttpRequest) -> HttpResponse:
    """Probe each dependency within two seconds: 200 when all required ones answer, else 503.

    The operator's address names each dependency and its failure; elsewhere the answer is yes or no, of the last second.
    """
    is_inner = request.META.get(INNER)
    report = (probes if is_inner else _recent).report(registry.dependencies())
    body: dict[str, object] = {"status": "ready" if report.ready else "not ready"}
    if is_inner:
        body |= {"degraded": report.degraded, "service": settings.SEAM_PROCESS_NAME, "checks": report.checks}
    return HttpResponse(msgspec.json.encode(body), status=200 if report.ready else 503, content_type="application/json")


def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics of this process, or of all when PROMETHEUS_MULTIPROC_DIR is set, and those of the collectors.

    Only at the operator's address. Raises: Http404.
    """
    if not request.META.get(INNER):
        raise Http404
    seam_metrics.flush()
    with multiprocess.settled():
        exported: HttpResponse = ExportToDjangoView(request)
    exported.content += scrape_registry.exposition()
    return exported


def key_set(request: HttpRequest) -> HttpResponse:
    """`/.well-known/jwks.json` (RFC 7517)."""
    body = msgspec.json.encode(keyring.key_set())
    return HttpResponse(body, content_type="application/jwk-set+json", headers={"Cache-Control": "max-age=300"})


def root(request: HttpRequest) -> HttpResponse:
    """Redirects the API's root to its documentation."""
    return HttpResponsePermanentRedirect("/api/v1/docs")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404, as a problem for programs and as a page for people."""
    if request.path.startswith("/api/") or settings.SERVICE:
        return response(404, "not_found", gettext("There is nothing here."), request)
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, as a problem for programs and as a page for people."""
    if request.path.startswith("/api/") or settings.SERVICE:
        return response(500, "internal_error", gettext("Something went wrong on our side."), request)
    return render(request, "500.html", status=500)
