"""Messages to the person: the list, marking them as read, and the count for the badge."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from apps.core.seam.client.registry import call
from apps.notifications.interface import NOTIFICATIONS, BadNotificationCursor
from apps.portal.views.page import Page

PAGE_SIZE = 30


class Notifications(Page):
    """The list of messages, newest first."""

    shows_unread = False  # the list's own answer has the count

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """One page of all messages, or of the unread ones."""
        unread_only = request.GET.get("show") == "unread"
        cursor = request.GET.get("cursor") or None
        try:
            page = call(NOTIFICATIONS).list(ctx=self.ctx, unread_only=unread_only, limit=PAGE_SIZE, cursor=cursor)
        except BadNotificationCursor as error:
            messages.error(request, gettext(error.message))
            return redirect("portal:notifications")
        return self.show("notifications.html", page=page, unread=page.unread, unread_only=unread_only, cursor=cursor)


class Read(Page):
    """Marking messages as read."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, notification_id: UUID | None = None) -> HttpResponseBase:
        """Mark one message, or all if none is named; then redirect to the list, or to the message's contract."""
        if notification_id is None:
            count = call(NOTIFICATIONS).mark_all_read(ctx=self.ctx)
            sentence = ngettext(
                "%(count)s message was marked as read.", "%(count)s messages were marked as read.", count
            )
            messages.success(request, sentence % {"count": count})
            return redirect("portal:notifications")
        message = call(NOTIFICATIONS).mark_read(ctx=self.ctx, notification_id=notification_id)
        if "open" in request.POST:
            return redirect("portal:contract", message.contract_id)
        only_unread = "?show=unread" if request.POST.get("show") == "unread" else ""
        return redirect(reverse("portal:notifications") + only_unread)


class Unread(Page):
    """The count of unread messages, for the badge."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The count as JSON."""
        return JsonResponse({"unread": call(NOTIFICATIONS).unread_count(ctx=self.ctx)})
