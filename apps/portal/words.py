"""The words for everything that travels as a code: statuses, roles, stages, types, verdicts, refusals.

Here: tables from a code to an English msgid, and looking a word up in the active language. Not here: sentences of
pages, which stand in the templates; how numbers and dates are written (`templatetags/portal.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_noop

from apps.authentication.interface import Role
from apps.contracts.interface import Blocker, ContractStatus, LandCategory, PartyRole
from apps.core.interface.errors import DomainError
from apps.core.rest.problems import in_words
from apps.documents.interface import DocumentType
from apps.signatures.interface import SignatureStatus, SubIndication, Verdict
from apps.workflow.interface import StageStatus, WorkflowStatus

STATUSES: dict[str, str] = {
    ContractStatus.DRAFT: gettext_noop("Draft"),
    ContractStatus.AWAITING_SIGNATURES: gettext_noop("Awaiting signatures"),
    ContractStatus.SIGNED: gettext_noop("Signed"),
    ContractStatus.IN_REGISTRATION: gettext_noop("In registration"),
    ContractStatus.COMPLETED: gettext_noop("Completed"),
    ContractStatus.CANCELLED: gettext_noop("Cancelled"),
}

# What a move is called on its button: what the person does, not where the contract lands.
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
ROLES: dict[str, str] = {
    Role.SELLER: gettext_noop("Seller"),
    Role.BUYER: gettext_noop("Buyer"),
    Role.AGENT: gettext_noop("Agent"),
    Role.LAWYER: gettext_noop("Lawyer"),
    Role.REGISTRAR: gettext_noop("Registrar"),
    Role.ADMINISTRATOR: gettext_noop("Administrator"),
}
STAGES: dict[str, str] = {
    "preparation": gettext_noop("Preparation of documents"),
    "signing": gettext_noop("Signing of the contract"),
    "payment": gettext_noop("Payment"),
    "registration": gettext_noop("Registration of title"),
    "handover": gettext_noop("Handover of the plot"),
}

# A code means different things in different enumerations (a stage that is completed is not a contract that is).
TABLES: dict[type[enum.Enum], Mapping[str, str]] = {
    ContractStatus: STATUSES,
    Role: ROLES,
    PartyRole: ROLES,
    Blocker: {
        Blocker.NO_SALE_CONTRACT: gettext_noop("The contract of sale has not been uploaded"),
        Blocker.SELLER_SIGNATURE_MISSING: gettext_noop("The seller has not signed"),
        Blocker.BUYER_SIGNATURE_MISSING: gettext_noop("The buyer has not signed"),
        Blocker.PLOT_UNDER_CONTRACT: gettext_noop("Another contract for this plot is signed or in registration"),
    },
    LandCategory: {
        LandCategory.AGRICULTURAL: gettext_noop("Agricultural land"),
        LandCategory.SETTLEMENT: gettext_noop("Land of settlements"),
        LandCategory.INDUSTRIAL: gettext_noop("Land of industry, energy, transport and other special purpose"),
        LandCategory.PROTECTED: gettext_noop("Specially protected land"),
        LandCategory.FOREST: gettext_noop("Forest land"),
        LandCategory.WATER: gettext_noop("Land of water bodies"),
        LandCategory.RESERVE: gettext_noop("Reserve land"),
    },
    DocumentType: {
        DocumentType.SALE_CONTRACT: gettext_noop("Contract of sale"),
        DocumentType.TRANSFER_ACT: gettext_noop("Transfer act"),
        DocumentType.REGISTER_EXTRACT: gettext_noop("Register extract"),
        DocumentType.POWER_OF_ATTORNEY: gettext_noop("Power of attorney"),
        DocumentType.SPOUSE_CONSENT: gettext_noop("Spouse's consent"),
        DocumentType.PAYMENT_PROOF: gettext_noop("Proof of payment"),
        DocumentType.OTHER: gettext_noop("Other document"),
    },
    StageStatus: {
        StageStatus.PENDING: gettext_noop("Not started"),
        StageStatus.IN_PROGRESS: gettext_noop("Under way"),
        StageStatus.BLOCKED: gettext_noop("Held up"),
        StageStatus.COMPLETED: gettext_noop("Done"),
        StageStatus.CANCELLED: gettext_noop("Called off"),
    },
    WorkflowStatus: {
        WorkflowStatus.ACTIVE: gettext_noop("The sale is under way"),
        WorkflowStatus.COMPLETED: gettext_noop("The sale is complete"),
        WorkflowStatus.CANCELLED: gettext_noop("The sale was called off"),
    },
    SignatureStatus: {
        SignatureStatus.SIGNED: gettext_noop("Accepted"),
        SignatureStatus.REFUSED: gettext_noop("Refused"),
    },
    Verdict: {
        Verdict.PASSED: gettext_noop("Valid"),
        Verdict.FAILED: gettext_noop("Not valid"),
        Verdict.INDETERMINATE: gettext_noop("Cannot be decided"),
    },
    SubIndication: {
        SubIndication.NONE: "",
        SubIndication.FORMAT_FAILURE: gettext_noop("The signature cannot be read."),
        SubIndication.HASH_FAILURE: gettext_noop("The stored document is not the one that was uploaded."),
        SubIndication.SIG_CRYPTO_FAILURE: gettext_noop(
            "The signature does not fit this document and this certificate: another key or another file was used."
        ),
        SubIndication.CRYPTO_CONSTRAINTS_FAILURE: gettext_noop(
            "The key is too weak or of a kind that is not accepted. Accepted are RSA from 2048 bits, P-256 and Ed25519."
        ),
        SubIndication.NO_CERTIFICATE_CHAIN_FOUND: gettext_noop(
            "The certificate was not issued by an authority that is trusted here."
        ),
        SubIndication.CHAIN_CONSTRAINTS_FAILURE: gettext_noop(
            "The certificate or its authority does not permit signing."
        ),
        SubIndication.NOT_YET_VALID: gettext_noop("The certificate is not valid yet."),
        SubIndication.EXPIRED: gettext_noop("The certificate has expired."),
        SubIndication.REVOKED: gettext_noop("The certificate was revoked by its authority."),
        SubIndication.TRY_LATER: gettext_noop(
            "The authority's revocation list is out of date; it cannot be decided now."
        ),
        SubIndication.SIGNER_MISMATCH: gettext_noop("The certificate belongs to another person."),
    },
}


def of(value: enum.Enum) -> str:
    """The word for a code in the active language; a code that this build does not know stands for itself."""
    msgid = TABLES.get(type(value), {}).get(value.value, str(value.value))
    return gettext(msgid) if msgid else ""


def of_role(name: str) -> str:
    """The word for a role that came as plain text."""
    return gettext(ROLES.get(name, name))


def of_stage(name: str) -> str:
    """The word for a stage, which comes as plain text because each type of workflow has its own."""
    return gettext(STAGES.get(name, name))


def choices(kind: type[enum.Enum]) -> list[tuple[str, str]]:
    """Every code of an enumeration with its word, for a list to choose from."""
    return [(str(member.value), of(member)) for member in kind]


def of_refusal(error: DomainError) -> str:
    """A refusal's sentence, with the codes inside it in words too."""
    coded = {name: value for name in error.fields.__struct_fields__ if _is_coded(value := getattr(error.fields, name))}
    if not coded:
        return in_words(error)
    values: dict[str, Any] = {name: getattr(error.fields, name) for name in error.fields.__struct_fields__}
    values |= {name: _listed(value) for name, value in coded.items()}
    # The interfaces give people's lists under these names, made of the codes.
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


def _listed(value: Any) -> str:
    items = value if isinstance(value, tuple) else (value,)
    return ", ".join(of(item) if isinstance(item, enum.Enum) else of_role(item) for item in items) or "—"
