"""Argon2id with its cost from the settings (OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane)."""

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """The hasher of new passwords."""

    parallelism = 1

    @property
    def time_cost(self) -> int:  # type: ignore[override]  # Django declares a class attribute
        """The number of passes."""
        return int(settings.ARGON2_TIME_COST)

    @property
    def memory_cost(self) -> int:  # type: ignore[override]  # likewise
        """Memory in KiB."""
        return int(settings.ARGON2_MEMORY_KIB)
