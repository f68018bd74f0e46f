"""The age of the key that signs access tokens."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily

from apps.authentication.models import SigningKey


class SigningKeyCollector:
    """The signing key's age, counted from the first token it signed: a key has no date of its own."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """`jwt_signing_key_first_used_timestamp_seconds{kid}`, once it has signed anything. Raises: django.db.Error."""
        from apps.core.rest.keys import keyring  # loads the token library, which a command has no use for

        family = GaugeMetricFamily(
            "jwt_signing_key_first_used_timestamp_seconds",
            "When the key that signs access tokens first signed one (unix time)",
            labels=["kid"],
        )
        for key in SigningKey.objects.filter(kid=keyring.kid):
            family.add_metric([key.kid], key.first_used_at.timestamp())
        yield family
