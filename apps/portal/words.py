"""The words for codes on the wire: statuses, roles, stages, types, verdicts, refusals.

Here: the labels of buttons, and looking up a word in the active language. Not here: labels (beside the codes, in the
interfaces), sentences of pages (in the templates), the format of numbers and dates (`templatetags/portal.py`).
"""

from __future__ import annotations

import enum
from typing import Any

from django.utils.translation import gettext, gettext_noop

from apps.authentication.interface import Role
from apps.contracts.interface import ContractStatus
from apps.core.interface.errors import DomainError
from apps.core.interface.labels import LabelledEnum
from apps.core.rest.problems import in_words
from apps.workflow.interface import STAGE_LABELS, StageStatus

ROLES = frozenset(role.value for role in Role)
# The label of a move's button: the person's action, not the resulting status.
MOVES: dict[str, str] = {
    ContractStatus.DRAFT: gettext_noop("Take back to draft"),
    ContractStatus.AWAITING_SIGNATURES: gettext_noop("Send for signing"),
    ContractStatus.SIGNED: gettext_noop("Mark as signed"),
    ContractStatus.IN_REGISTRATION: gettext_noop("Submit for registration"),
    ContractStatus.COMPLETED: gettext_noop("Mark title as registered"),
    ContractStatus.CANCELLED: gettext_noop("Cancel the contract"),
}
STAGE_MOVES: dict[str, str] = {
    StageStatus.COMPLETED: gettext_noop("Stage is done"),
    StageStatus.BLOCKED: gettext_noop("Report an obstacle"),
    StageStatus.IN_PROGRESS: gettext_noop("Obstacle is removed"),
}


def of(value: enum.Enum) -> str:
    """The word for a code in the active language, by the label beside the code in its interface."""
    label = value.label if isinstance(value, LabelledEnum) else str(value.value)
    return gettext(label) if label else ""


def of_role(name: str) -> str:
    """The word for a role given as text; a role unknown to this build stands for itself."""
    return of(Role(name)) if name in ROLES else name


def of_stage(name: str) -> str:
    """The word for a stage, given as text because each type of workflow has its own stages."""
    return gettext(STAGE_LABELS.get(name, name))


def choices(kind: type[enum.Enum]) -> list[tuple[str, str]]:
    """Every code of an enumeration with its word, for a list to choose from."""
    return [(str(member.value), of(member)) for member in kind]


def of_refusal(error: DomainError) -> str:
    """A refusal's sentence, with the codes inside it in words too."""
    coded = {name: value for name in error.fields.__struct_fields__ if _is_coded(value := getattr(error.fields, name))}
    if not coded:
        return in_words(error)
    values: dict[str, Any] = {name: getattr(error.fields, name) for name in error.fields.__struct_fields__}
    values |= {name: _list_in_words(value) for name, value in coded.items()}
    # The interfaces derive these two lists for people from the codes.
    values["possible"] = values.get("legal", "")
    values["who"] = values.get("responsible", "")
    try:
        return gettext(error.message).format(**values)
    except KeyError:
        return in_words(error)


def _is_coded(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(item, enum.Enum) or item in ROLES for item in value)
    return isinstance(value, enum.Enum)


def _list_in_words(value: Any) -> str:
    items = value if isinstance(value, tuple) else (value,)
    return ", ".join(of(item) if isinstance(item, enum.Enum) else of_role(item) for item in items) or "—"
