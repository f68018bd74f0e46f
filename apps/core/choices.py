"""Builds a model field's choices from an enumeration: the code is stored, its label shown in the reader's language."""

from __future__ import annotations

import enum
from typing import Any

from django.utils.translation import gettext_lazy


def named(kinds: type[enum.StrEnum]) -> list[tuple[str, Any]]:
    """The choices of an enumeration, in its order; a member without a label is shown by its code, with spaces."""
    return [(kind.value, gettext_lazy(getattr(kind, "label", "") or kind.value.replace("_", " "))) for kind in kinds]
