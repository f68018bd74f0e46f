"""People and access in the admin, read only; blocks and roles go through the interface."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.authentication.interface import AUTHENTICATION, Role
from apps.authentication.models import Command, LogInFailure, Outbox, RefreshToken, SigningKey, User
from apps.core.rest import edge
from apps.core.rest.admin import CommandAdmin, OutboxAdmin, OwnFilters, ReadOnly
from apps.core.seam.client.registry import call


@admin.register(User)
class UserAdmin(ReadOnly):
    """People. Actions go through the interface, so that a block also revokes tokens."""

    list_display = ("email", "full_name", "roles", "locale", "is_active", "is_staff", "created_at")
    list_filter = ("is_active", "is_staff", "locale")
    search_fields = ("email", "full_name")
    fields = ("email", "full_name", "phone", "roles", "locale", "is_active", "is_staff", "last_login", "created_at")
    ordering = ("-created_at",)
    actions = (
        "block",
        "unblock",
        *("make_registrar", "unmake_registrar", "make_administrator", "unmake_administrator"),
    )

    @admin.action(description=_("Block the selected people"), permissions=["block_user"])
    def block(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._set_active(request, queryset, is_active=False)

    @admin.action(description=_("Unblock the selected people"), permissions=["block_user"])
    def unblock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._set_active(request, queryset, is_active=True)

    @admin.action(description=_("Make the selected people registrars"), permissions=["grant_roles"])
    def make_registrar(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._set_role(request, queryset, Role.REGISTRAR, granted=True)

    @admin.action(description=_("Take the registrar's role from the selected people"), permissions=["grant_roles"])
    def unmake_registrar(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._set_role(request, queryset, Role.REGISTRAR, granted=False)

    @admin.action(description=_("Make the selected people administrators"), permissions=["grant_roles"])
    def make_administrator(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._set_role(request, queryset, Role.ADMINISTRATOR, granted=True)

    @admin.action(description=_("Take the administrator's role from the selected people"), permissions=["grant_roles"])
    def unmake_administrator(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._set_role(request, queryset, Role.ADMINISTRATOR, granted=False)

    def has_block_user_permission(self, request: HttpRequest) -> bool:
        """Whether the reader may block and unblock."""
        return request.user.has_perm("authentication.block_user")

    def has_grant_roles_permission(self, request: HttpRequest) -> bool:
        """Whether the reader may grant and take roles."""
        return request.user.has_perm("authentication.grant_roles")

    def _set_role(self, request: HttpRequest, queryset: QuerySet[User], role: Role, *, granted: bool) -> None:
        ctx = edge.context(request, request.user)

        def change(row: User) -> None:
            seen = tuple(Role(name) for name in row.roles)
            others = tuple(name for name in seen if name != role)
            roles = (*others, role) if granted else others
            call(AUTHENTICATION).set_roles(ctx=ctx.step(str(row.id)), user_id=row.id, roles=roles, seen=seen)

        self.change_each(request, queryset, change)

    def _set_active(self, request: HttpRequest, queryset: QuerySet[User], *, is_active: bool) -> None:
        ctx = edge.context(request, request.user)

        def change(row: User) -> None:
            call(AUTHENTICATION).set_active(ctx=ctx.step(str(row.id)), user_id=row.id, is_active=is_active)

        self.change_each(request, [row for row in queryset if row.id != ctx.actor.id], change)


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(OwnFilters, DjangoGroupAdmin):  # type: ignore[misc]  # the type of the rows alone differs
    """Groups, by which people who are no administrators get single permissions."""


@admin.register(RefreshToken)
class RefreshTokenAdmin(ReadOnly):
    """Records of refresh tokens; the tokens themselves are not stored."""

    list_display = ("created_at", "user", "expires_at", "replaced_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    ordering = ("-created_at",)


@admin.register(LogInFailure)
class LogInFailureAdmin(ReadOnly):
    """Failed log-ins of the last day."""

    list_display = ("at", "email", "source")
    search_fields = ("email",)
    ordering = ("-at",)


@admin.register(SigningKey)
class SigningKeyAdmin(ReadOnly):
    """Keys that have signed access tokens; the keys themselves are not stored."""

    list_display = ("first_used_at", "kid")
    ordering = ("-first_used_at",)


admin.site.register(Command, CommandAdmin)
admin.site.register(Outbox, OutboxAdmin)
