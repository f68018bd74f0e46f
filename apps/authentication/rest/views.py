"""Authentication over REST."""

from __future__ import annotations

from uuid import UUID

from apps.authentication.interface import (
    AUTHENTICATION,
    DeviceToken,
    Email,
    Locale,
    Password,
    PersonCard,
    Phone,
    Refusal,
    Refused,
    Role,
    Roles,
    TokenPair,
    User,
    UserNotFound,
)
from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Line, RequestBody
from apps.core.interface.errors import Category, DomainError, gettext_noop
from apps.core.rest.endpoint import View, endpoint, fields_of
from apps.core.seam.client.registry import call


class Registration(RequestBody):
    """A new account."""

    email: Email
    password: Password
    full_name: Line
    phone: Phone = ""
    roles: Roles = (Role.SELLER, Role.BUYER)
    locale: Locale = "ru"


class Credentials(RequestBody):
    """An address and its password."""

    email: Email
    password: Password
    device_token: DeviceToken = ""


class RefreshBody(RequestBody):
    """A refresh token."""

    refresh_token: Line


class ProfileChange(RequestBody):
    """Changes to one's own account."""

    full_name: Line | None = None
    phone: Phone | None = None
    locale: Locale | None = None


class AccessChange(RequestBody):
    """An administrator's changes to an account."""

    roles: Roles | None = None
    is_active: bool | None = None


class Tokens(Dto):
    """Tokens (RFC 6749, section 5.1). `expires_in` is the access token's life in seconds.

    `device_token`, sent with the next log-in, keeps this device from being locked out by what others do; only a log-in
    gives one.
    """

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int
    device_token: str = ""


class BadCredentials(DomainError, code="bad_credentials", category=Category.UNAUTHENTICATED):
    """Wrong address or password; the answer does not say which."""

    message = gettext_noop("The e-mail or the password is wrong.")


class LockedOut(DomainError, code="locked_out", category=Category.TOO_MANY):
    """Too many failures for this address from this network or device."""

    message = gettext_noop("Too many failed attempts. Try again in {retry_after_seconds} seconds.")
    retry_after_seconds: int


class RefreshTokenInvalid(DomainError, code="refresh_token_invalid", category=Category.UNAUTHENTICATED):
    """The refresh token is unknown, expired or revoked."""

    message = gettext_noop("The refresh token is not valid. Please sign in again.")


class RefreshTokenReused(DomainError, code="refresh_token_reused", category=Category.UNAUTHENTICATED):
    """The refresh token was used before: its whole family was revoked."""

    message = gettext_noop("The refresh token was used before. All tokens of this sign-in were revoked.")


def _tokens(answer: TokenPair | Refused) -> Tokens:
    if isinstance(answer, TokenPair):
        return Tokens(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token,
            token_type="bearer",
            expires_in=answer.expires_in,
            device_token=answer.device_token,
        )
    match answer.reason:
        case Refusal.LOCKED_OUT:
            raise LockedOut(retry_after_seconds=answer.retry_after_seconds)
        case Refusal.TOKEN_INVALID:
            raise RefreshTokenInvalid
        case Refusal.TOKEN_REUSED:
            raise RefreshTokenReused
    raise BadCredentials


class Register(View):
    """POST auth/register."""

    @endpoint(status=201, public=True, route_by="email")
    def post(self, ctx: CallContext, body: Registration) -> User:
        """Open an account."""
        return call(AUTHENTICATION).register(ctx=ctx, **fields_of(body))


class LogIn(View):
    """POST auth/login."""

    authentication_classes = ()

    # Another password under a used key is another attempt, and counts.
    @endpoint(public=True, route_by="email", key_namespace=("email", "password"))
    def post(self, ctx: CallContext, body: Credentials) -> Tokens:
        """Exchange a password for tokens."""
        return _tokens(call(AUTHENTICATION).log_in(ctx=ctx, **fields_of(body)))


class Refresh(View):
    """POST auth/refresh."""

    authentication_classes = ()

    @endpoint(public=True, key_namespace=("refresh_token",))
    def post(self, ctx: CallContext, body: RefreshBody) -> Tokens:
        """Exchange a refresh token for the next pair."""
        return _tokens(call(AUTHENTICATION).refresh(ctx=ctx, refresh_token=body.refresh_token))


class LogOut(View):
    """POST auth/logout."""

    authentication_classes = ()

    @endpoint(status=204, public=True, key_namespace=("refresh_token",))
    def post(self, ctx: CallContext, body: RefreshBody) -> None:
        """Revoke a refresh token and all tokens of the same sign-in."""
        call(AUTHENTICATION).log_out(ctx=ctx, refresh_token=body.refresh_token)


def _me(ctx: CallContext) -> User:
    if ctx.actor.id is None:
        raise UserNotFound
    return call(AUTHENTICATION).get(ctx=ctx, user_id=ctx.actor.id)


class Me(View):
    """GET auth/me."""

    @endpoint()
    def get(self, ctx: CallContext) -> User:
        """One's own account."""
        return _me(ctx)


class MyProfile(View):
    """GET and PATCH users/me."""

    @endpoint()
    def get(self, ctx: CallContext) -> User:
        """One's own account."""
        return _me(ctx)

    @endpoint()
    def patch(self, ctx: CallContext, body: ProfileChange) -> User:
        """Change one's own account."""
        return call(AUTHENTICATION).update_profile(ctx=ctx, **fields_of(body))


class PersonDetail(View):
    """GET and PATCH users/{id}."""

    @endpoint()
    def get(self, ctx: CallContext, user_id: UUID) -> PersonCard:
        """The card of a person; of one who is blocked, for administrators."""
        cards = call(AUTHENTICATION).cards(ctx=ctx, user_ids=(user_id,))
        if cards:
            return cards[0]
        if not ctx.actor.has(Role.ADMINISTRATOR):
            raise UserNotFound
        user = call(AUTHENTICATION).get(ctx=ctx, user_id=user_id)
        return PersonCard(id=user.id, full_name=user.full_name, roles=user.roles)

    @endpoint()
    def patch(self, ctx: CallContext, user_id: UUID, body: AccessChange) -> User:
        """Grant roles, block or unblock; administrators only."""
        user = None
        if body.roles is not None:
            user = call(AUTHENTICATION).set_roles(ctx=ctx, user_id=user_id, roles=body.roles)
        if body.is_active is not None:
            user = call(AUTHENTICATION).set_active(ctx=ctx, user_id=user_id, is_active=body.is_active)
        return user or call(AUTHENTICATION).get(ctx=ctx, user_id=user_id)


class ByEmail(Dto):
    """An exact address."""

    email: Email


class People(View):
    """GET users?email=."""

    @endpoint()
    def get(self, ctx: CallContext, query: ByEmail) -> PersonCard:
        """The card of the person with exactly this address."""
        return call(AUTHENTICATION).find_by_email(ctx=ctx, email=query.email)
