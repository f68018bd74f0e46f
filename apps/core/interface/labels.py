"""An enumeration whose members carry the words that people read beside the code that travels. No Django."""

from __future__ import annotations

import enum
from typing import Self


class LabelledEnum(enum.StrEnum):
    """`DRAFT = "draft", gettext_noop("Draft")`: the value is the code, `label` an English msgid, translated where it is shown."""

    label: str

    def __new__(cls, value: str, label: str = "") -> Self:
        """A member; without a label its code stands for it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member
