"""team_trained and retention_agreed: what a person has to say, with their name, and what ends."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apps.extraction.decommission.findings import Finding, fails, holds
from apps.extraction.decommission.models import SignOff

TRAINED, RETENTION = "team_trained", "retention_agreed"
LASTS = {TRAINED: timedelta(days=180), RETENTION: timedelta(days=365)}
WORDS = {
    TRAINED: "the team was trained in running {service} apart",
    RETENTION: "it was agreed how long the backup of the old tables of {service} is kept",
}


class NotSigned(Exception):
    """The sign-off is not complete; the message says what is missing."""


def sign_off(service: str, item: str, who: str, statement: str, keep_days: int | None = None) -> SignOff:
    """Sign for an item. The backup of the old tables holds personal data (152-FZ): it is kept for days that are said. Raises: NotSigned."""
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
    """The newest sign-off, whether it still holds or not."""
    return SignOff.objects.filter(service=service, item=item).order_by("-signed_at").first()


def team_trained(service: str) -> Finding:
    """Somebody has signed that the team was trained, within half a year."""
    return _signed(service, TRAINED)


def retention_agreed(service: str) -> Finding:
    """Somebody has signed how long the backup of the old tables is kept."""
    return _signed(service, RETENTION)


def signed_by(service: str, who: str) -> bool:
    """Whether the training was signed off by this very person: whoever decommissions does not vouch for themselves."""
    found = latest(service, TRAINED)
    return found is not None and found.who.casefold() == who.strip().casefold()


def _signed(service: str, item: str) -> Finding:
    found = latest(service, item)
    if found is None:
        return fails(f"nobody has signed that {WORDS[item].format(service=service)}")
    seen = {
        "sign_off": str(found.id),
        "who": found.who,
        "what": found.statement,
        "keep_days": found.keep_days,
        "signed_at": found.signed_at.isoformat(),
    }
    if found.valid_until <= timezone.now():
        return fails(f"the sign-off of {found.signed_at:%Y-%m-%d} by {found.who} has ended", **seen)
    return holds(f"signed by {found.who} on {found.signed_at:%Y-%m-%d}", valid_until=found.valid_until, **seen)
