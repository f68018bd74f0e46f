"""Accounts, refresh tokens, failed log-ins, and this app's own commands and outbox. Tables and constraints only."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from apps.core.ids import new_id
from apps.core.seam.server.tables import CommandRecord, OutboxRecord

SESSION_SALT = "apps.authentication.session"


def normalised(password: str) -> str:
    """A password in the form that is hashed, NFC (RFC 8265, section 4.2.2): the same letters on every keyboard."""
    return unicodedata.normalize("NFC", password)


def older_forms(password: str) -> set[str]:
    """The other forms that hashes of before may be of: as it was typed, and NFD, as some keyboards send it."""
    return {password, unicodedata.normalize("NFD", password)} - {normalised(password)}


class UserManager(BaseUserManager["User"]):
    """Creates accounts for `createsuperuser`; people register through the interface."""

    def create_superuser(self, email: str, password: str, **fields: Any) -> User:
        """An administrator with access to the admin."""
        fields = {"is_staff": True, "is_superuser": True, **fields}
        fields.setdefault("roles", ["administrator"] if fields["is_superuser"] else [])
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        """The account with this e-mail, in any case."""
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """One person. The e-mail is kept in lower case and is the log-in."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(_("e-mail"), unique=True)
    full_name = models.CharField(_("full name"), max_length=300)
    phone = models.CharField(_("phone"), max_length=20, blank=True)
    roles = ArrayField(models.CharField(max_length=20), verbose_name=_("roles"), default=list, blank=True)
    locale = models.CharField(_("language"), max_length=2, default="ru")
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("may open the admin"), default=False)
    created_at = models.DateTimeField(_("registered"), db_default=Now(), editable=False)
    # Set by a trigger, which also revokes the person's refresh tokens: a password may be changed by any way.
    password_changed_at = models.DateTimeField(_("password changed"), db_default=Now(), editable=False)
    # Set by a trigger when a role is taken, the person blocked or the password changed: access tokens of a lower version
    # are refused.
    token_version = models.PositiveIntegerField(_("version of tokens"), default=0, db_default=0, editable=False)
    tokens_revoked_at = models.DateTimeField(_("tokens revoked"), null=True, editable=False)

    objects = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["full_name"]

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = (
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="authentication_user_email_lower"),
            # The role and Django's flags are one truth.
            models.CheckConstraint(
                condition=models.Q(is_superuser=True, is_staff=True, roles__contains=["administrator"])
                | (models.Q(is_superuser=False) & ~models.Q(roles__contains=["administrator"])),
                name="authentication_user_administrator",
            ),
        )
        indexes = (
            models.Index(
                fields=("tokens_revoked_at",),
                condition=models.Q(tokens_revoked_at__isnull=False),
                name="authentication_user_revoked",
            ),
        )
        permissions = (
            ("block_user", _("May block and unblock people")),
            ("grant_roles", _("May grant and take roles")),
        )

    def __str__(self) -> str:
        return str(self.email)

    def set_password(self, raw_password: str | None) -> None:
        """Hash in the form that every way of this app hashes."""
        super().set_password(None if raw_password is None else normalised(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        """Whether it is this person's. Unlike Django's it stores no new hash, which would end sessions and tokens."""
        return raw_password is not None and any(
            check_password(form, self.password) for form in (normalised(raw_password), *older_forms(raw_password))
        )

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and read back what the database sets with a new password, for the session that goes on."""
        is_new_password = getattr(self, "_password", None) is not None  # what Django's `set_password` notes
        super().save(*args, **kwargs)
        if is_new_password:
            self.refresh_from_db(fields=["password_changed_at"])

    def get_session_auth_hash(self) -> str:
        """What a session was opened with: it ends with the password, and not with a new hash of the same one."""
        return salted_hmac(
            SESSION_SALT, f"{self.pk}{self.password_changed_at.isoformat()}", algorithm="sha256"
        ).hexdigest()

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """Those of sessions that an earlier release opened."""
        yield super().get_session_auth_hash()


class RefreshToken(models.Model):
    """One link in a family of refresh tokens. The token itself is derived from `id` and is never stored."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    family = models.UUIDField(db_index=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, verbose_name=_("person"))
    created_at = models.DateTimeField(_("issued"), db_default=Now())
    expires_at = models.DateTimeField(_("expires"))
    replaced_at = models.DateTimeField(_("replaced"), null=True)
    successor = models.OneToOneField("self", null=True, on_delete=models.SET_NULL, related_name="predecessor")
    revoked_at = models.DateTimeField(_("revoked"), null=True)

    class Meta:
        verbose_name = _("refresh token")
        verbose_name_plural = _("refresh tokens")

    def __str__(self) -> str:
        return str(self.id)


class LogInFailure(models.Model):
    """One failed log-in, by normalised e-mail and source (a network, or a known device); counted for the lock-out."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.CharField(_("e-mail"), max_length=254)
    source = models.CharField(_("source"), max_length=64, default="", db_default="", blank=True)
    at = models.DateTimeField(_("at"), db_default=Now())

    class Meta:
        verbose_name = _("failed log-in")
        verbose_name_plural = _("failed log-ins")
        indexes = (models.Index(fields=("email", "at")),)

    def __str__(self) -> str:
        return str(self.email)


class SigningKey(models.Model):
    """A key that has signed access tokens, by its RFC 7638 thumbprint. The key itself is only in the environment."""

    kid = models.CharField(_("key id"), max_length=64, primary_key=True)
    first_used_at = models.DateTimeField(_("first used"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("signing key")
        verbose_name_plural = _("signing keys")

    def __str__(self) -> str:
        return str(self.kid)


class Command(CommandRecord):
    """This app's executed commands."""


class Outbox(OutboxRecord):
    """This app's events."""
