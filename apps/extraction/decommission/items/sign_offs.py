"""team_trained and retention_agreed: statements that a person signs for, and that expire."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apps.extraction.decommission.findings import Finding, fails, holds
from apps.extraction.decommission.models import SignOff

TRAINED, RETENTION = "team_trained", "retention_agreed"
LASTS = {TRAINED: timedelta(days=180), RETENTION: timedelta(days=365)}
WORDS = {
    TRAINED: "the team was trained in running {service} as a process of its own",
    RETENTION: "it was agreed how long the backup of the old tables of {service} is kept",
}


class NotSigned(Exception):
    """The sign-off is not complete; the message says what is missing."""


def sign_off(service: str, item: str, who: str, statement: str, keep_days: int | None = None) -> SignOff:
    """Sign for an item.

    The backup of the old tables holds personal data (152-FZ): `keep_days` says how many days it is kept. Raises:
    NotSigned.
    """
    if item not in LASTS:
        raise NotSigned(f"{item} is nothing that a person signs for")
    if not who.strip() or not statement.strip():
        raise NotSigned("say who signs, and for what")
    if item == RETENTION and not keep_days:
        raise NotSigned("say for how many days the backup is kept")
    return SignOff.objects.create(
        service=service,
        item=item,
        who=who.strip()[:254],
        statement=statement.strip()[:2000],
        keep_days=keep_days if item == RETENTION else None,
        valid_until=timezone.now() + LASTS[item],
    )


def latest(service: str, item: str) -> SignOff | None:
    """The newest sign-off, expired or not."""
    return SignOff.objects.filter(service=service, item=item).order_by("-signed_at").first()


def team_trained(service: str) -> Finding:
    """A person has signed within half a year that the team was trained."""
    return _signed(service, TRAINED)


def retention_agreed(service: str) -> Finding:
    """A person has signed how long the backup of the old tables is kept."""
    return _signed(service, RETENTION)


def signed_by(service: str, who: str) -> bool:
    """Whether this person signed off the training; the person who decommissions may not be the one who signed."""
    newest = latest(service, TRAINED)
    return newest is not None and newest.who.casefold() == who.strip().casefold()


def _signed(service: str, item: str) -> Finding:
    newest = latest(service, item)
    if newest is None:
        return fails(f"it is not signed that {WORDS[item].format(service=service)}")
    evidence = {
        "sign_off": str(newest.id),
        "who": newest.who,
        "what": newest.statement,
        "keep_days": newest.keep_days,
        "signed_at": newest.signed_at.isoformat(),
    }
    if newest.valid_until <= timezone.now():
        return fails(f"the sign-off of {newest.signed_at:%Y-%m-%d} by {newest.who} has ended", **evidence)
    return holds(f"signed by {newest.who} on {newest.signed_at:%Y-%m-%d}", valid_until=newest.valid_until, **evidence)
