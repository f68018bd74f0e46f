"""A fake of authentication for other apps' tests: accounts in memory, plain-text passwords, tokens without content."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from apps.authentication.interface import (
    DECLARED_ROLES,
    NO_ID,
    REVOKED_AT_A_TIME,
    DeviceToken,
    Email,
    EmailTaken,
    ForgetReport,
    LastAdministrator,
    Locale,
    Password,
    PersonCard,
    Phone,
    Recipient,
    Refusal,
    Refused,
    RevokedTokens,
    Role,
    RoleNotDeclarable,
    Roles,
    SignedIn,
    TokenPair,
    User,
    UserNotFound,
    WeakPassword,
)
from apps.authentication.logic import administrators, names
from apps.core.ids import new_id
from apps.core.interface.context import CallContext
from apps.core.interface.dto import Instant, Line
from apps.core.interface.errors import Forbidden

LIMIT = 5
DEVICE_LIMIT = 20


class FakeAuthentication:
    """Implements `AuthenticationService` in memory."""

    def __init__(self) -> None:
        self._users: dict[UUID, User] = {}
        self._passwords: dict[UUID, str] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._devices: dict[str, UUID] = {}
        self._families: dict[str, tuple[UUID, str | None]] = {}  # token -> (owner, successor)
        self._revoked: set[UUID] = set()
        self._revocations: dict[UUID, RevokedTokens] = {}

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
        address = email.strip().lower()
        for role in roles:
            if role not in DECLARED_ROLES and not self._is_administrator(ctx):
                raise RoleNotDeclarable(role=role)
        if password.isdigit():
            raise WeakPassword(problems=("entirely numeric",))
        if self._by_email(address) is not None:
            raise EmailTaken
        user = User(
            id=new_id(),
            email=address,
            full_name=names.kept(full_name),
            phone=phone,
            roles=tuple(dict.fromkeys(roles)),
            locale=locale,
            is_active=True,
            created_at=datetime.now(UTC),
        )
        self._users[user.id], self._passwords[user.id] = user, password
        return user

    def log_in(
        self, *, ctx: CallContext, email: Email, password: Password, device_token: DeviceToken = ""
    ) -> TokenPair | Refused:
        user = self._checked(ctx, email, password, device_token)
        if isinstance(user, Refused):
            return user
        return msgspec.structs.replace(self._pair(user), device_token=self._device(user, device_token))

    def sign_in(
        self, *, ctx: CallContext, email: Email, password: Password, device_token: DeviceToken = ""
    ) -> SignedIn | Refused:
        user = self._checked(ctx, email, password, device_token)
        if isinstance(user, Refused):
            return user
        return SignedIn(user=user, device_token=self._device(user, device_token))

    def refresh(self, *, ctx: CallContext, refresh_token: Line) -> TokenPair | Refused:
        owner, successor = self._families.get(refresh_token, (None, None))
        if owner is None or owner in self._revoked:
            return Refused(reason=Refusal.TOKEN_INVALID)
        if successor is None:
            pair = self._pair(self._users[owner])
            self._families[refresh_token] = (owner, pair.refresh_token)
            return pair
        if self._families[successor][1] is None:
            return self._tokens(owner, successor)
        self._revoked.add(owner)
        self._revoke_access(owner)
        return Refused(reason=Refusal.TOKEN_REUSED)

    def log_out(self, *, ctx: CallContext, refresh_token: Line) -> None:
        if refresh_token in self._families:
            self._revoked.add(self._families[refresh_token][0])

    def get(self, *, ctx: CallContext, user_id: UUID) -> User:
        if user_id != ctx.actor.id and not ctx.actor.has("system", Role.ADMINISTRATOR):
            raise UserNotFound
        return self._required(user_id)

    def cards(self, *, ctx: CallContext, user_ids: tuple[UUID, ...]) -> tuple[PersonCard, ...]:
        return tuple(_card(user) for user in self._users.values() if user.id in user_ids and user.is_active)

    def find_by_email(self, *, ctx: CallContext, email: Email) -> PersonCard:
        user = self._by_email(email.strip().lower())
        if user is None or not user.is_active or (ctx.actor.id is None and not ctx.actor.has("system")):
            raise UserNotFound
        return _card(user)

    def recipients(self, *, ctx: CallContext, user_ids: tuple[UUID, ...]) -> tuple[Recipient, ...]:
        if not ctx.actor.has("system"):
            raise Forbidden
        users = (user for user in self._users.values() if user.id in user_ids and user.is_active)
        return tuple(
            Recipient(id=user.id, email=user.email, full_name=user.full_name, locale=user.locale) for user in users
        )

    def revoked_tokens(
        self, *, ctx: CallContext, after: Instant | None = None, after_id: UUID = NO_ID
    ) -> tuple[RevokedTokens, ...]:
        if not ctx.actor.has("system"):
            raise Forbidden
        ordered = sorted(self._revocations.values(), key=lambda item: (item.revoked_at, item.user_id))
        behind = [item for item in ordered if after is None or (item.revoked_at, item.user_id) > (after, after_id)]
        return tuple(behind[:REVOKED_AT_A_TIME])

    def update_profile(
        self,
        *,
        ctx: CallContext,
        full_name: Line | None = None,
        phone: Phone | None = None,
        locale: Locale | None = None,
    ) -> User:
        name = None if full_name is None else names.kept(full_name)
        fields = {"full_name": name, "phone": phone, "locale": locale}
        return self._change(ctx.actor.id, **{name: value for name, value in fields.items() if value is not None})

    def set_roles(self, *, ctx: CallContext, user_id: UUID, roles: Roles, seen: Roles | None = None) -> User:
        self._administrators_only(ctx)
        if user_id not in self._users:
            raise UserNotFound
        roles = administrators.merged(self._users[user_id].roles, seen=seen, wanted=roles)
        if Role.ADMINISTRATOR not in roles:
            self._require_another_administrator(user_id)
        return self._change(user_id, roles=tuple(dict.fromkeys(roles)))

    def forget(self, *, ctx: CallContext) -> ForgetReport:
        if not ctx.actor.has("system"):
            raise Forbidden
        return ForgetReport(tokens=0, failures=0)

    def set_active(self, *, ctx: CallContext, user_id: UUID, is_active: bool) -> User:
        self._administrators_only(ctx)
        if not is_active:
            self._require_another_administrator(user_id)
            self._revoked.add(user_id)
        return self._change(user_id, is_active=is_active)

    def _administrators_only(self, ctx: CallContext) -> None:
        if not self._is_administrator(ctx):
            raise Forbidden

    def _is_administrator(self, ctx: CallContext) -> bool:
        user = self._users.get(ctx.actor.person) if ctx.actor.has(Role.ADMINISTRATOR) else None
        return ctx.actor.has("system") or (user is not None and user.is_active and Role.ADMINISTRATOR in user.roles)

    def _require_another_administrator(self, user_id: UUID) -> None:
        active = {user.id for user in self._users.values() if user.is_active and Role.ADMINISTRATOR in user.roles}
        if active == {user_id}:
            raise LastAdministrator

    def _by_email(self, address: str) -> User | None:
        return next((user for user in self._users.values() if user.email == address), None)

    def _required(self, user_id: UUID | None) -> User:
        user = None if user_id is None else self._users.get(user_id)
        if user is None:
            raise UserNotFound
        return user

    def _change(self, user_id: UUID | None, **changes: object) -> User:
        before = self._required(user_id)
        user = msgspec.structs.replace(before, **changes)
        if not set(before.roles) <= set(user.roles) or (before.is_active and not user.is_active):
            self._revoke_access(user.id)
        self._users[user.id] = user
        return user

    def _revoke_access(self, user_id: UUID) -> None:
        known = self._revocations.get(user_id)
        version = 1 if known is None else known.token_version + 1
        self._revocations[user_id] = RevokedTokens(user_id=user_id, token_version=version, revoked_at=datetime.now(UTC))

    def _checked(self, ctx: CallContext, email: str, password: str, device: str) -> User | Refused:
        address = email.strip().lower()
        user = self._by_email(address)
        is_known = user is not None and self._devices.get(device) == user.id
        source = (address, device if is_known else ctx.network)
        if self._failures.get(source, 0) >= (DEVICE_LIMIT if is_known else LIMIT):
            return Refused(reason=Refusal.LOCKED_OUT, retry_after_seconds=60)
        if user is None or not user.is_active or not _same(self._passwords[user.id], password):
            self._failures[source] = self._failures.get(source, 0) + 1
            return Refused(reason=Refusal.BAD_CREDENTIALS)
        self._failures.pop(source, None)
        return user

    def _device(self, user: User, known: str) -> str:
        token = known if self._devices.get(known) == user.id else f"device-{new_id()}"
        self._devices[token] = user.id
        return token

    def _pair(self, user: User) -> TokenPair:
        token = f"refresh-{new_id()}"
        self._families[token] = (user.id, None)
        return self._tokens(user.id, token)

    def _tokens(self, user_id: UUID, token: str) -> TokenPair:
        return TokenPair(user_id=user_id, access_token=f"access-{user_id}", refresh_token=token, expires_in=300)


def _same(stored: str, typed: str) -> bool:
    return unicodedata.normalize("NFC", stored) == unicodedata.normalize("NFC", typed)


def _card(user: User) -> PersonCard:
    return PersonCard(id=user.id, full_name=user.full_name, roles=user.roles)
