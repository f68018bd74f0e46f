"""Template filters that format values for people: words for codes, money, areas.

Here: the format of one value. Not here: the tables of words (`words.py`).
"""

from __future__ import annotations

import enum
from decimal import Decimal
from uuid import UUID

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext

from apps.contracts.interface import Contract, ContractStatus
from apps.portal import words as portal_words
from apps.workflow.interface import StageStatus

register = template.Library()
NO_BREAK = "\u00a0"
SIGNS = {"RUB": "₽", "USD": "$", "EUR": "€", "CNY": "¥"}


@register.filter
def words(value: enum.Enum) -> str:
    """The word for a code."""
    return portal_words.of(value)


@register.filter
def words_of(values: tuple[enum.Enum, ...]) -> str:
    """The words for several codes, as a list."""
    return ", ".join(portal_words.of(value) for value in values)


@register.filter
def stage_words(name: str) -> str:
    """The word for a stage's name."""
    return portal_words.of_stage(name)


@register.filter
def role_words(names: tuple[str, ...]) -> str:
    """Roles as a list."""
    return ", ".join(portal_words.of_role(name) for name in names)


@register.filter
def move_words(status: ContractStatus | StageStatus) -> str:
    """The label of the button for a move."""
    table = portal_words.STAGE_MOVES if isinstance(status, StageStatus) else portal_words.MOVES
    return gettext(table[status])


@register.filter
def person(user_id: UUID | None, names: dict[UUID, str]) -> str:
    """A person's name; `names` lacks closed accounts."""
    if user_id is None:
        return gettext("the system")
    return names.get(user_id) or gettext("a person whose account is closed")


@register.filter
def price(contract: Contract) -> str:
    """A price with separators and its currency, without line breaks."""
    amount = number_format(contract.price, decimal_pos=2, use_l10n=True, force_grouping=True)
    return f"{amount}{NO_BREAK}{SIGNS.get(contract.currency, contract.currency)}"


@register.filter
def area(square_metres: Decimal) -> str:
    """An area in square metres."""
    whole = square_metres == square_metres.to_integral_value()
    formatted = number_format(square_metres, decimal_pos=0 if whole else 2, use_l10n=True, force_grouping=True)
    return gettext("%(area)s m²") % {"area": formatted}
