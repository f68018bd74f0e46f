"""Liveness, readiness, metrics, public keys, and Django's own errors under `/api/`."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from django.conf import settings
from django.core.cache import cache
from django.core.files.storage import storages
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.utils.translation import gettext
from django_prometheus.exports import ExportToDjangoView
from prometheus_client import generate_latest

from apps.core.database import homes
from apps.core.rest.keys import keyring
from apps.core.rest.problems import response
from apps.core.seam import conformance, topology
from apps.core.seam import metrics as seam_metrics


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse(b'{"status":"ok"}', content_type="application/json")


def _database() -> None:
    for alias in {homes.SHARED, *(homes.alias_of(service) for service in topology.loaded())}:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1")


def _broker() -> None:
    cache.get("readyz")


def _storage() -> None:
    client = storages["documents"].connection.meta.client  # type: ignore[attr-defined]  # an S3Storage
    client.head_bucket(Bucket=settings.DOCUMENTS_BUCKET)


def _home() -> None:
    """Home is there, takes our seals, and its clock agrees with ours."""
    if settings.SEAM_HOME:
        other = next(name for name in topology.entries() if name != settings.SERVICE)
        if conformance.reachable(topology.key_of(other), settings.SEAM_HOME, caller=settings.SEAM_PROCESS_NAME):
            raise ConnectionError


CHECKS: dict[str, Callable[[], None]] = {"database": _database, "redis": _broker, "storage": _storage, "home": _home}


def readyz(request: HttpRequest) -> HttpResponse:
    """Each dependency, asked now: 200 when all answer, else 503 with what does not."""
    checks: dict[str, dict[str, object]] = {}
    for name, check in ((name, CHECKS[name]) for name in settings.READY_CHECKS):
        started = time.perf_counter()
        error = ""
        try:
            check()
        except Exception as problem:  # noqa: BLE001 - whatever it is, the dependency is not ready
            error = type(problem).__name__
        checks[name] = {"ok": not error, "error": error, "ms": round((time.perf_counter() - started) * 1000, 1)}
    ready = all(check["ok"] for check in checks.values())
    body = msgspec.json.encode({"status": "ready" if ready else "not ready", "checks": checks})
    return HttpResponse(body, status=200 if ready else 503, content_type="application/json")


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus metrics of this process, or of all when PROMETHEUS_MULTIPROC_DIR is set."""
    seam_metrics.flush()
    exported: HttpResponse = ExportToDjangoView(request)
    exported.content += generate_latest(seam_metrics.asked)
    return exported


def key_set(request: HttpRequest) -> HttpResponse:
    """`/.well-known/jwks.json` (RFC 7517)."""
    body = msgspec.json.encode(keyring.key_set())
    return HttpResponse(body, content_type="application/jwk-set+json", headers={"Cache-Control": "max-age=300"})


def root(request: HttpRequest) -> HttpResponse:
    """The API's front door: its documentation."""
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
