"""Accounts, log-in and tokens. The public file of `authentication`.

Here: errors, DTOs and the Protocol. Not here: what a person may do with a contract (`contracts`).
"""

from __future__ import annotations

import enum
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Instant, Line
from apps.core.interface.errors import Category, DomainError, gettext_noop
from apps.core.interface.labels import LabelledEnum
from apps.core.interface.operations import ServiceKey, command, query

# As HTML's e-mail fields accept it (WHATWG HTML, 4.10.5.1.5), with a dot in the domain.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = rf"^[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+)*@{_LABEL}(?:\.{_LABEL})+$(?!\n)"
Email = Annotated[str, Meta(min_length=5, max_length=254, pattern=EMAIL)]
Password = Annotated[str, Meta(min_length=8, max_length=200)]
DeviceToken = Annotated[str, Meta(max_length=100)]
Phone = Annotated[str, Meta(max_length=20, pattern=r"^\+?[0-9 ()-]*$(?!\n)")]
Locale = Annotated[str, Meta(pattern=r"^(ru|en)$(?!\n)")]


class Role(LabelledEnum):
    """A person's role on the platform. A person declares the first four; an administrator grants the last two."""

    SELLER = "seller", gettext_noop("Seller")
    BUYER = "buyer", gettext_noop("Buyer")
    AGENT = "agent", gettext_noop("Agent")
    LAWYER = "lawyer", gettext_noop("Lawyer")
    REGISTRAR = "registrar", gettext_noop("Registrar")
    ADMINISTRATOR = "administrator", gettext_noop("Administrator")


Roles = Annotated[tuple[Role, ...], Meta(max_length=len(Role))]
REVOKED_AT_A_TIME = 1_000
NO_ID = UUID(int=0)
DECLARED_ROLES = (Role.SELLER, Role.BUYER, Role.AGENT, Role.LAWYER)


class User(Dto):
    """An account as its owner and administrators see it."""

    id: UUID
    email: str
    full_name: str
    phone: str
    roles: tuple[Role, ...]
    locale: str
    is_active: bool
    created_at: Instant


class PersonCard(Dto):
    """An account as other people see it."""

    id: UUID
    full_name: str
    roles: tuple[Role, ...]


class Recipient(Dto):
    """The address and language for notifications to a person; for system work only."""

    id: UUID
    email: str
    full_name: str
    locale: str


class RevokedTokens(Dto):
    """A person whose access tokens below a version are refused.

    A role was taken, a block or a new password came, or a refresh token was used twice.
    """

    user_id: UUID
    token_version: int
    revoked_at: Instant


class TokenPair(Dto, tag="tokens"):
    """An access token (JWT, RFC 7519) and the refresh token that replaces it. `expires_in` is in seconds.

    `device_token`, given at a log-in, goes with the next one: then the failures of others do not lock this device out.
    """

    user_id: UUID
    access_token: str
    refresh_token: str
    expires_in: int
    device_token: str = ""


class Refusal(enum.StrEnum):
    """Why no tokens were issued."""

    BAD_CREDENTIALS = "bad_credentials"
    LOCKED_OUT = "locked_out"
    TOKEN_INVALID = "token_invalid"
    TOKEN_REUSED = "token_reused"


class Refused(Dto, tag="refused"):
    """No tokens; an answer rather than an error, because the failed attempt is counted in the same transaction."""

    reason: Refusal
    retry_after_seconds: int = 0


def is_refused(answer: object) -> bool:
    """Whether an answer refuses the attempt."""
    return isinstance(answer, Refused)


class ForgetReport(Dto):
    """How many refresh tokens and failed log-ins were deleted."""

    tokens: int
    failures: int


class SignedIn(Dto, tag="signed_in"):
    """A person whose password was right, for a browser session."""

    user: User
    device_token: str = ""


class EmailTaken(DomainError, code="email_taken", category=Category.CONFLICT):
    """Another account has this address."""

    message = gettext_noop("An account with this e-mail exists already.")


class WeakPassword(DomainError, code="weak_password", category=Category.INVALID):
    """The password fails the rules of `AUTH_PASSWORD_VALIDATORS`."""

    message = gettext_noop("This password is too easy to guess.")
    problems: tuple[str, ...]


class LastAdministrator(DomainError, code="last_administrator", category=Category.CONFLICT):
    """Without this person nobody could administer the platform."""

    message = gettext_noop("This is the last administrator: make somebody else an administrator first.")


class UserNotFound(DomainError, code="user_not_found", category=Category.NOT_FOUND):
    """No such account, or none that the actor may see."""

    message = gettext_noop("There is no such person.")


class RoleNotDeclarable(DomainError, code="role_not_declarable", category=Category.FORBIDDEN):
    """Only an administrator grants this role."""

    message = gettext_noop("Only an administrator grants the role {role}.")
    role: str


class AuthenticationService(Protocol):
    """Accounts and tokens."""

    @command
    def register(
        self,
        *,
        ctx: CallContext,
        email: Email,
        password: Password,
        full_name: Line,
        phone: Phone = "",
        roles: Roles = (Role.SELLER, Role.BUYER),
        locale: Locale = "ru",
    ) -> User:
        """Open an account. Raises: EmailTaken, WeakPassword, RoleNotDeclarable."""

    @command(refused=is_refused)
    def log_in(
        self, *, ctx: CallContext, email: Email, password: Password, device_token: DeviceToken = ""
    ) -> TokenPair | Refused:
        """Exchange a password for tokens.

        Five failures from one network (`ctx.network`) lock the address for it, for a minute, then for twice as long
        each time, up to an hour. A device that has logged in before is not locked by what others do.
        """

    @command(refused=is_refused)
    def refresh(self, *, ctx: CallContext, refresh_token: Line) -> TokenPair | Refused:
        """Rotate a refresh token (RFC 9700, section 4.14.2). Reuse revokes the family; see `logic/rotation.py`."""

    @command
    def log_out(self, *, ctx: CallContext, refresh_token: Line) -> None:
        """Revoke a refresh token's family. An unknown token is no error: it cannot be used (RFC 7009, section 2.2)."""

    @command(refused=is_refused)
    def sign_in(
        self, *, ctx: CallContext, email: Email, password: Password, device_token: DeviceToken = ""
    ) -> SignedIn | Refused:
        """Check a password for a browser session; failures count and lock out as those of `log_in`."""

    @query
    def get(self, *, ctx: CallContext, user_id: UUID) -> User:
        """An account: the actor's own, or any for an administrator. Raises: UserNotFound."""

    @query(any_order=("",))
    def cards(self, *, ctx: CallContext, user_ids: tuple[UUID, ...]) -> tuple[PersonCard, ...]:
        """Cards of active people, in any order; unknown ids are left out."""

    @query
    def find_by_email(self, *, ctx: CallContext, email: Email) -> PersonCard:
        """The card of the person with exactly this address. Raises: UserNotFound."""

    @query(any_order=("",))
    def recipients(self, *, ctx: CallContext, user_ids: tuple[UUID, ...]) -> tuple[Recipient, ...]:
        """Addresses of active people, for system work only. Raises: Forbidden."""

    @query
    def revoked_tokens(
        self, *, ctx: CallContext, after: Instant | None = None, after_id: UUID = NO_ID
    ) -> tuple[RevokedTokens, ...]:
        """The people whose tokens were revoked within the life of one, by time and id; system work only.

        The first `REVOKED_AT_A_TIME` of them, or those behind a time and an id. A transaction may take some seconds, so
        that one with an earlier time may come to light later. Raises: Forbidden.
        """

    @command
    def update_profile(
        self,
        *,
        ctx: CallContext,
        full_name: Line | None = None,
        phone: Phone | None = None,
        locale: Locale | None = None,
    ) -> User:
        """Change the actor's own account; None leaves a field as it is. Raises: UserNotFound."""

    @command
    def set_roles(self, *, ctx: CallContext, user_id: UUID, roles: Roles, seen: Roles | None = None) -> User:
        """Grant exactly these roles; administrators only. The administrator's role opens the admin, its loss closes it.

        With `seen`, the roles that the actor has read before, only what differs from those is granted and taken, so that
        another's change meanwhile stays. Raises: Forbidden, UserNotFound, LastAdministrator.
        """

    @command(timeout_ms=30_000)
    def forget(self, *, ctx: CallContext) -> ForgetReport:
        """Delete refresh tokens that expired a day ago and failed log-ins that no longer count; system work only.

        Raises: Forbidden.
        """

    @command
    def set_active(self, *, ctx: CallContext, user_id: UUID, is_active: bool) -> User:
        """Block or unblock an account; a block revokes its refresh tokens.

        Raises: Forbidden, UserNotFound, LastAdministrator.
        """


AUTHENTICATION: ServiceKey[AuthenticationService] = ServiceKey("authentication", AuthenticationService)
