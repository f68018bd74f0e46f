"""A model field's choices from an enumeration: the code is stored, its words are shown, in the reader's language."""

from __future__ import annotations

import enum
from typing import Any

from django.utils.translation import gettext_lazy, gettext_noop

# Words of codes that appear nowhere else in the code as messages; the catalogues are collected from here.
WORDS = (
    gettext_noop("agricultural"),
    gettext_noop("settlement"),
    gettext_noop("industrial"),
    gettext_noop("protected"),
    gettext_noop("forest"),
    gettext_noop("water"),
    gettext_noop("reserve"),
    gettext_noop("sale contract"),
    gettext_noop("spouse consent"),
    gettext_noop("payment proof"),
    gettext_noop("other"),
    gettext_noop("pending"),
    gettext_noop("uploaded"),
    gettext_noop("in progress"),
    gettext_noop("blocked"),
    gettext_noop("land sale"),
    gettext_noop("contract created"),
    gettext_noop("status changed"),
    gettext_noop("document stored"),
    gettext_noop("signature accepted"),
    gettext_noop("signature refused"),
    gettext_noop("stage started"),
    gettext_noop("stage overdue"),
)


def named(kinds: type[enum.StrEnum]) -> list[tuple[str, Any]]:
    """The choices of an enumeration, in its order."""
    return [(kind.value, gettext_lazy(kind.value.replace("_", " "))) for kind in kinds]
