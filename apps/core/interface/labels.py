"""An enumeration whose members have a label for people beside the code that is sent and stored. No Django."""

from __future__ import annotations

import enum
from typing import Self


class LabelledEnum(enum.StrEnum):
    """`DRAFT = "draft", gettext_noop("Draft")`: the value is the code, `label` an English msgid, translated on display."""

    label: str

    def __new__(cls, value: str, label: str = "") -> Self:
        """A member; without a label it is shown by its code."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member
