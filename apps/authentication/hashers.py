"""Argon2id with its cost from the settings (OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane)."""

import unicodedata

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


def normalised(password: str) -> str:
    """A password in the form that is hashed, NFC (RFC 8265, section 4.2.2): the same letters on every keyboard."""
    return unicodedata.normalize("NFC", password)


def older_forms(password: str) -> set[str]:
    """The other forms that hashes of before may be of: as it was typed, and NFD, as some keyboards send it."""
    return {password, unicodedata.normalize("NFD", password)} - {normalised(password)}
