"""Every service and where it stands, and the platform's figures: what the overview shows and its live endpoint answers."""

from __future__ import annotations

import time

import msgspec
from django.conf import settings
from django.db import DatabaseError
from django.utils.translation import gettext

from apps.core import topology
from apps.core.flags import snapshot
from apps.core.flags.routes import system_context
from apps.core.interface.errors import DomainError, SeamError
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, Sync
from apps.extraction.dashboard import comparison, figures, probe
from apps.extraction.dashboard.cards import Card, Known, card
from apps.extraction.dashboard.figures import Figures
from apps.extraction.dashboard.probe import Look
from apps.extraction.routing.canary import history
from apps.extraction.routing.canary.models import CanaryDeployment
from apps.extraction.state import stages
from apps.extraction.state.models import Move, Outcome

SYNCS = 200


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The whole overview. `problem` says what could not be asked at all."""

    services: tuple[Card, ...]
    figures: Figures
    problem: str = ""


def gather() -> Board:
    """The board now, in the reader's language: one look at the databases for all who look, and a handful of queries."""
    look = probe.latest()
    syncs, problem = _syncs()
    canaries = {canary.service: canary for canary in history.newest()}
    sides = comparison.of([canary.id for canary in canaries.values()])
    under_way = _under_way()
    cards, known = [], []
    for service in topology.entries():
        canary = canaries.get(service)
        one = _known(service, look, syncs, canary, under_way.get(service))
        known.append(one)
        cards.append(card(one, sides.get(canary.id) if canary else None))
    return Board(
        services=tuple(cards),
        figures=figures.of(cards, known, list(sides.values())),
        problem=problem,
    )


def one(service: str) -> tuple[Card, Known]:
    """One service of it, with what it was made of."""
    look = probe.latest()
    syncs, _ = _syncs()
    canary = CanaryDeployment.objects.filter(service=service).first()
    known = _known(service, look, syncs, canary, _under_way().get(service))
    sides = comparison.of([canary.id]).get(canary.id) if canary else None
    return card(known, sides), known


def _known(
    service: str, look: Look, syncs: tuple[Sync, ...], canary: CanaryDeployment | None, move: Move | None
) -> Known:
    sync = stages.live_sync(service, syncs)
    shared, own = look.shared.get(service), look.own.get(service)
    flags = snapshot.current()
    return Known(
        service=service,
        is_movable=shared is not None,
        shared=shared,
        own=own,
        sync=sync,
        verification=stages.latest_verification(service) if sync is not None else None,
        remote=flags.get(f"{service}_remote", snapshot.OFF),
        shadow=flags.get(f"{service}_shadow", snapshot.OFF),
        address=settings.SEAM_AWAY.get(service, ""),
        silence=look.away.get(service),
        is_breaker_open=service in look.open_breakers,
        canary=canary,
        move=move,
        asked_ago=time.time() - look.at,
    )


def _syncs() -> tuple[tuple[Sync, ...], str]:
    """The newest synchronisations; datasync may be away itself, and the rest of the board is worth seeing then."""
    try:
        return call(DATASYNC).list(ctx=system_context("extraction.dashboard"), limit=SYNCS), ""
    except (DomainError, SeamError, DatabaseError) as error:
        return (), gettext("Synchronisations are not known: %(problem)s") % {"problem": str(error)[:200]}


def _under_way() -> dict[str, Move]:
    found = Move.objects.filter(outcome__in=(Outcome.ASKED, Outcome.RUNNING)).order_by("started_at")
    return {move.service: move for move in found}
