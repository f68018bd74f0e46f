"""The base of every page: access, the call context, the unread badge, and refusals as pages.

Here: the behaviour of all pages. Not here: the content of any page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import structlog
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.views.generic import View

from apps.authentication.interface import AUTHENTICATION
from apps.core.interface.context import CallContext
from apps.core.interface.errors import HTTP_STATUS, Category, DomainError, RemoteCallFailed, ServiceBusy, is_no_space
from apps.core.rest import edge
from apps.core.seam.client.registry import call
from apps.notifications.interface import NOTIFICATIONS
from apps.portal import words

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Page(View):
    """A page for people who are signed in; `public` pages need no sign-in.

    `shows_unread` puts the count of unread messages into the page itself. A page that needs all of its calls leaves
    that to the script, which keeps the count fresh anyway.
    """

    public: ClassVar[bool] = False
    shows_unread: ClassVar[bool] = True
    ctx: CallContext

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Redirect strangers to sign-in, and turn a service's refusals into pages."""
        if not self.public and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        try:
            self.ctx = edge.context(request, request.user, aggregate=_address(request))
            response = super().dispatch(request, *args, **kwargs)
        except DomainError as error:
            response = refused(request, error)
        except (RemoteCallFailed, OSError) as error:
            if isinstance(error, OSError) and not is_no_space(error):
                raise
            log.warning("page_without_answer", path=request.path, exc_info=error)
            response = refused(request, ServiceBusy())
        # A page is for its reader only; after signing out the back button must not show it.
        add_never_cache_headers(response)
        return response

    def show(self, template: str, *, status: int = 200, **values: Any) -> HttpResponse:
        """Render a template of the portal."""
        if self.shows_unread and self.request.user.is_authenticated:
            values["unread"] = part(lambda: call(NOTIFICATIONS).unread_count(ctx=self.ctx))
        return render(self.request, f"portal/{template}", values, status=status)

    def names(self, *people: UUID | None) -> dict[UUID, str]:
        """The names of people, in one call; empty when authentication does not answer."""
        known = tuple({person for person in people if person is not None})
        if not known:
            return {}
        cards = part(lambda: call(AUTHENTICATION).cards(ctx=self.ctx, user_ids=known))
        return {card.id: card.full_name for card in cards or ()}


def part(read: Callable[[], T]) -> T | None:
    """A part of a page, or None when its service does not answer, so that the rest of the page is still shown."""
    try:
        return read()
    except RemoteCallFailed as error:
        log.warning("part_without_answer", exc_info=error)
    except DomainError as error:
        if error.category != Category.UNAVAILABLE:
            raise
    return None


def refused(request: HttpRequest, error: DomainError) -> HttpResponse:
    """A refusal as a page. An object that the person may not see looks like one that does not exist.

    Raises: Http404.
    """
    if error.category == Category.NOT_FOUND:
        raise Http404
    status = HTTP_STATUS[error.category]
    response = render(request, "portal/refused.html", {"sentence": words.of_refusal(error)}, status=status)
    if error.category == Category.UNAVAILABLE:
        response["Retry-After"] = "1"
    return response


def status_of(error: DomainError) -> int:
    """The HTTP status of a form that is shown again with a refusal."""
    return HTTP_STATUS[error.category]


def _address(request: HttpRequest) -> str:
    """The normalised e-mail in the form, by which a stranger's calls are routed."""
    return request.POST.get("email", "").strip().lower() if request.method == "POST" else ""
