"""Authentication in this process: scope, transaction, logic, DTO."""

from __future__ import annotations

from datetime import timedelta
from itertools import starmap
from uuid import UUID

from django.db import connections
from django.db.models import Q
from django.db.models.functions import Now
from django.db.utils import IntegrityError
from django.utils import timezone
from psycopg.errors import UniqueViolation

from apps.authentication import mapping
from apps.authentication.interface import (
    DECLARED_ROLES,
    NO_ID,
    REVOKED_AT_A_TIME,
    DeviceToken,
    Email,
    EmailTaken,
    ForgetReport,
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
)
from apps.authentication.logic import administrators, devices, directory, lockout, names, passwords, rotation, tokens
from apps.authentication.models import User as UserRow
from apps.core.database.primaries import database_of
from apps.core.ids import new_id
from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Instant, Line
from apps.core.interface.errors import Forbidden
from apps.core.seam.server.commands import answers_from, command

# A token is good for so much longer than its life (`LEEWAY`), and transactions end after their clock was read.
SLACK = timedelta(minutes=1)


class _SignedInRecord(Dto, tag="signed_in"):
    """The stored record of a sign-in, without the device's token."""

    user: User
    device_id: UUID | None = None


def _signed_in(stored: _SignedInRecord | Refused) -> SignedIn | Refused:
    """The answer for a stored record."""
    if isinstance(stored, Refused):
        return stored
    row = UserRow.objects.filter(id=stored.user.id).first() if stored.device_id else None
    return SignedIn(user=stored.user, device_token=devices.token(row, stored.device_id) if row else "")


class Authentication:
    """Implements `AuthenticationService`."""

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
        address = _normalised(email)
        granted = next((role for role in roles if role not in DECLARED_ROLES), None)
        if granted is not None and not administrators.claims(ctx.actor):
            raise RoleNotDeclarable(role=granted)
        password_hash = passwords.hashed(password, email=address, full_name=full_name)
        row = UserRow(email=address, full_name=names.kept(full_name), phone=phone, locale=locale)
        administrators.assign(row, roles)
        row.password = password_hash
        try:
            with command(ctx) as work:
                if granted is not None and not administrators.is_one(ctx.actor):
                    raise RoleNotDeclarable(role=granted)
                row.save(using=work.alias)
                return work.finish(mapping.user(row))
        except IntegrityError as error:
            if not isinstance(error.__cause__, UniqueViolation):
                raise
            raise EmailTaken from error

    @answers_from(tokens.Issued | Refused, tokens.again)
    def log_in(
        self, *, ctx: CallContext, email: Email, password: Password, device_token: DeviceToken = ""
    ) -> TokenPair | Refused:
        attempt = _Attempt(ctx, email, password, device_token)
        with command(ctx) as work:
            refusal = attempt.refusal()
            row = attempt.row
            if refusal is not None or row is None:
                return tokens.outcome(work.finish(refusal or Refused(reason=Refusal.BAD_CREDENTIALS)))
            issued = tokens.issue(row, rotation.start_family(row, attempt.now), device_id=attempt.device or new_id())
            return tokens.outcome(work.finish(issued))

    @answers_from(_SignedInRecord | Refused, _signed_in)
    def sign_in(
        self, *, ctx: CallContext, email: Email, password: Password, device_token: DeviceToken = ""
    ) -> SignedIn | Refused:
        attempt = _Attempt(ctx, email, password, device_token)
        with command(ctx) as work:
            refusal = attempt.refusal()
            if refusal is not None or attempt.row is None:
                return _signed_in(work.finish(refusal or Refused(reason=Refusal.BAD_CREDENTIALS)))
            record = _SignedInRecord(user=mapping.user(attempt.row), device_id=attempt.device or new_id())
            return _signed_in(work.finish(record))

    @answers_from(tokens.Issued | Refused, tokens.again)
    def refresh(self, *, ctx: CallContext, refresh_token: Line) -> TokenPair | Refused:
        token_id = tokens.read_refresh_token(refresh_token)
        with command(ctx) as work:
            rotated = rotation.rotate(token_id, timezone.now())
            stored = rotated if isinstance(rotated, Refused) else tokens.issue(*rotated)
            return tokens.outcome(work.finish(stored))

    def log_out(self, *, ctx: CallContext, refresh_token: Line) -> None:
        token_id = tokens.read_refresh_token(refresh_token)
        with command(ctx) as work:
            if token_id is not None:
                rotation.revoke_family_of(token_id, timezone.now())
            return work.finish(None)

    def get(self, *, ctx: CallContext, user_id: UUID) -> User:
        if user_id != ctx.actor.id and not ctx.actor.has("system", Role.ADMINISTRATOR):
            raise UserNotFound
        return mapping.user(_row(user_id))

    def cards(self, *, ctx: CallContext, user_ids: tuple[UUID, ...]) -> tuple[PersonCard, ...]:
        return tuple(mapping.card(row) for row in directory.active(database_of("authentication"), user_ids))

    def find_by_email(self, *, ctx: CallContext, email: Email) -> PersonCard:
        row = UserRow.objects.filter(email=_normalised(email), is_active=True).first()
        if row is None or (ctx.actor.id is None and not ctx.actor.has("system")):
            raise UserNotFound
        return mapping.card(row)

    def recipients(self, *, ctx: CallContext, user_ids: tuple[UUID, ...]) -> tuple[Recipient, ...]:
        if not ctx.actor.has("system"):
            raise Forbidden
        return tuple(mapping.recipient(row) for row in UserRow.objects.filter(id__in=user_ids, is_active=True))

    def revoked_tokens(
        self, *, ctx: CallContext, after: Instant | None = None, after_id: UUID = NO_ID
    ) -> tuple[RevokedTokens, ...]:
        if not ctx.actor.has("system"):
            raise Forbidden
        since = Now() - tokens.access_lifetime() - SLACK  # of the clock that wrote it
        rows = UserRow.objects.filter(tokens_revoked_at__gt=since).order_by("tokens_revoked_at", "id")
        if after is not None:
            rows = rows.filter(Q(tokens_revoked_at__gt=after) | Q(tokens_revoked_at=after, id__gt=after_id))
        columns = rows.values_list("id", "token_version", "tokens_revoked_at")
        return tuple(starmap(mapping.revoked, columns[:REVOKED_AT_A_TIME]))

    def update_profile(
        self,
        *,
        ctx: CallContext,
        full_name: Line | None = None,
        phone: Phone | None = None,
        locale: Locale | None = None,
    ) -> User:
        fields = {"full_name": None if full_name is None else names.kept(full_name), "phone": phone, "locale": locale}
        changes = {name: value for name, value in fields.items() if value is not None}
        with command(ctx) as work:
            row = _locked(ctx.actor.person)
            for name, value in changes.items():
                setattr(row, name, value)
            if changes:
                row.save(update_fields=list(changes))
            return work.finish(mapping.user(row))

    def set_roles(self, *, ctx: CallContext, user_id: UUID, roles: Roles, seen: Roles | None = None) -> User:
        with command(ctx) as work:
            administrators.require(ctx.actor)
            row = _locked(user_id)
            roles = administrators.merged(tuple(Role(name) for name in row.roles), seen=seen, wanted=roles)
            if Role.ADMINISTRATOR not in roles:
                administrators.require_another(row)
            administrators.assign(row, roles)
            row.save(update_fields=["roles", "is_staff", "is_superuser"])
            return work.finish(mapping.user(row))

    def forget(self, *, ctx: CallContext) -> ForgetReport:
        if not ctx.actor.has("system"):
            raise Forbidden
        now = timezone.now()
        with command(ctx) as work:
            return work.finish(ForgetReport(tokens=rotation.forget(now), failures=lockout.forget_old(now)))

    def set_active(self, *, ctx: CallContext, user_id: UUID, is_active: bool) -> User:
        with command(ctx) as work:
            administrators.require(ctx.actor)
            row = _locked(user_id)
            if not is_active:
                administrators.require_another(row)
            row.is_active = is_active
            row.save(update_fields=["is_active"])
            if not is_active:
                rotation.revoke_all(row.id, timezone.now())
            return work.finish(mapping.user(row))


class _Attempt:
    """One attempt at a password. The constructor hashes, before the transaction; `refusal` counts, within it."""

    def __init__(self, ctx: CallContext, email: str, password: str, device_token: str) -> None:
        self.now = timezone.now()
        self._address = _normalised(email)
        self.row = UserRow.objects.filter(email=self._address).first()
        self.device = devices.device_of(device_token, self.row)
        self._source = lockout.source_of(ctx.network, self.device)
        self._locked_seconds = lockout.seconds_left(self._address, self._source, self.now)
        self._stored = self.row.password if self.row else ""
        self._matches = not self._locked_seconds and passwords.matches(self.row, password)

    def refusal(self) -> Refused | None:
        # Concurrent attempts may have failed meanwhile: read the count again, one attempt at a time.
        self._locked_seconds = self._locked_seconds or lockout.seconds_left_exclusively(
            self._address, self._source, self.now
        )
        if self._locked_seconds:
            return Refused(reason=Refusal.LOCKED_OUT, retry_after_seconds=self._locked_seconds)
        if not self._matches:
            lockout.record_failure(self._address, self._source, self.now)
            return Refused(reason=Refusal.BAD_CREDENTIALS)
        if not self._is_current():
            return Refused(reason=Refusal.BAD_CREDENTIALS)
        lockout.forget(self._address, self._source)
        if self.row is not None and self.row.password != self._stored:
            _store_renewed_hash(self.row, self._stored)
        return None

    def _is_current(self) -> bool:
        """Whether the password is still the one that was checked, and the account still open; both stay so until the end.

        The check ran before the transaction. A change or a block in between ends what was issued before; what this
        attempt issues it would not see. It issues for the roles of now.
        """
        rows = UserRow.objects.select_for_update(no_key=True)
        present = rows.filter(id=self.row.id, is_active=True).first() if self.row else None
        if self.row is None or present is None or present.password != self._stored:
            return False
        self.row.roles, self.row.token_version = present.roles, present.token_version
        return True


def _store_renewed_hash(row: UserRow, before: str) -> None:
    """Store the hash of the same password in its present form, unless the password was changed meanwhile.

    The database's trigger takes a new hash for a new password, and ends what was issued for the old one; not this one.
    """
    with connections[database_of("authentication")].cursor() as cursor:
        cursor.execute("SELECT set_config('landcontracts.same_password', 'on', true)")
    UserRow.objects.filter(id=row.id, password=before).update(password=row.password)
    with connections[database_of("authentication")].cursor() as cursor:
        cursor.execute("SELECT set_config('landcontracts.same_password', '', true)")


def _normalised(email: str) -> str:
    return email.strip().lower()


def _row(user_id: UUID) -> UserRow:
    row = UserRow.objects.filter(id=user_id).first()
    if row is None:
        raise UserNotFound
    return row


def _locked(user_id: UUID) -> UserRow:
    row = UserRow.objects.select_for_update().filter(id=user_id).first()
    if row is None:
        raise UserNotFound
    return row
