"""The text of a message in the active language."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext, gettext_noop

from apps.notifications.interface import NotificationKind

K = NotificationKind
TEXTS: dict[NotificationKind, tuple[str, str]] = {
    K.CONTRACT_CREATED: (
        gettext_noop("Contract {number} was drawn up"),
        gettext_noop("You take part in the contract of sale {number}."),
    ),
    K.STATUS_CHANGED: (
        gettext_noop("Contract {number}: {status}"),
        gettext_noop("The contract {number} went from “{previous}” to “{status}”. {comment}"),
    ),
    K.DOCUMENT_STORED: (
        gettext_noop("A document was added: {filename}"),
        gettext_noop("{document_type}: {filename}."),
    ),
    K.SIGNATURE_ACCEPTED: (
        gettext_noop("A party has signed"),
        gettext_noop("A signature on a document of the contract was verified and accepted."),
    ),
    K.SIGNATURE_REFUSED: (
        gettext_noop("Your signature was not accepted"),
        gettext_noop("The signature did not pass verification ({sub_indication}). Nothing was signed."),
    ),
    K.STAGE_STARTED: (
        gettext_noop("Stage “{stage}” has begun"),
        gettext_noop("It is planned to be done by {planned_date}."),
    ),
    K.STAGE_OVERDUE: (
        gettext_noop("Stage “{stage}” is overdue"),
        gettext_noop("It was planned to be done by {planned_date}."),
    ),
}

# The words for values that are codes on the wire.
WORDS: dict[str, str] = {
    "draft": gettext_noop("draft"),
    "awaiting_signatures": gettext_noop("awaiting signatures"),
    "signed": gettext_noop("signed"),
    "in_registration": gettext_noop("in registration"),
    "completed": gettext_noop("completed"),
    "cancelled": gettext_noop("cancelled"),
    "preparation": gettext_noop("preparation"),
    "signing": gettext_noop("signing"),
    "payment": gettext_noop("payment"),
    "registration": gettext_noop("registration"),
    "handover": gettext_noop("handover"),
    "sale_contract": gettext_noop("contract of sale"),
    "transfer_act": gettext_noop("transfer act"),
    "register_extract": gettext_noop("register extract"),
    "power_of_attorney": gettext_noop("power of attorney"),
    "spouse_consent": gettext_noop("spouse's consent"),
    "payment_proof": gettext_noop("proof of payment"),
    "other": gettext_noop("other document"),
}
_CODED = ("status", "previous", "stage", "document_type")


def in_words(kind: NotificationKind, parameters: Mapping[str, str]) -> tuple[str, str]:
    """The title and the body of a message."""
    values = dict(parameters)
    for name in _CODED:
        if name in values:
            values[name] = gettext(WORDS.get(values[name], values[name]))
    title, body = TEXTS[kind]
    return gettext(title).format(**values), gettext(body).format(**values).strip()
