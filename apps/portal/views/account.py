"""Signing in and out, registration, and the person's own profile.

Here: the pages about the person. Not here: checking a password and counting failures, which `authentication` does
behind Django's backend.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate, login, logout
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language, gettext, gettext_noop, override
from django.views.decorators.debug import sensitive_post_parameters

from apps.authentication.interface import AUTHENTICATION, Role, User
from apps.core.interface.errors import DomainError
from apps.core.seam.client.registry import call
from apps.portal.forms import ProfileForm, RegisterForm, SignInForm
from apps.portal.views.page import Page, status_of

NOT_SIGNED_IN = gettext_noop(
    "The e-mail or the password is wrong, or there were too many attempts. Check both, or wait a few minutes and try again."
)
YEAR_SECONDS = 365 * 24 * 3600


def destination(request: HttpRequest) -> str:
    """The address to go to after signing in: the requested page, if it is on this site."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if is_ours and target.startswith("/") else resolve_url(settings.LOGIN_REDIRECT_URL)


def set_locale(response: HttpResponse, locale: str) -> HttpResponse:
    """Set the browser's language, as `set_language` does."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME, locale, max_age=YEAR_SECONDS, samesite="Lax", secure=settings.SECURE_COOKIES
    )
    return response


@method_decorator(sensitive_post_parameters("password"), name="dispatch")
class SignIn(Page):
    """Signing in."""

    public = True

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The form; a person who is signed in is redirected."""
        if request.user.is_authenticated:
            return redirect(destination(request))
        return self._form(SignInForm())

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Sign in. Locked out, unknown or wrong: one answer, so that it does not reveal who is registered."""
        form = SignInForm(request.POST)
        if not form.is_valid():
            return self._form(form, status=422)
        person = authenticate(request, username=form.cleaned_data["email"], password=form.cleaned_data["password"])
        if person is None:
            form.add_error(None, gettext(NOT_SIGNED_IN))
            return self._form(form, status=401)
        login(request, person)
        response = redirect(destination(request))
        has_language = settings.LANGUAGE_COOKIE_NAME in request.COOKIES
        return (
            response if has_language else set_locale(response, getattr(person, "locale", "") or settings.LANGUAGE_CODE)
        )

    def _form(self, form: SignInForm, *, status: int = 200) -> HttpResponse:
        target = self.request.POST.get("next") or self.request.GET.get("next") or ""
        return self.show("sign_in.html", status=status, form=form, next=target)


class SignOut(Page):
    """Signing out; only by POST, so that a link cannot do it."""

    public = True
    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """End the session."""
        logout(request)
        return redirect(settings.LOGOUT_REDIRECT_URL)


@method_decorator(sensitive_post_parameters("password"), name="dispatch")
class Register(Page):
    """Opening an account."""

    public = True

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The form."""
        if request.user.is_authenticated:
            return redirect(destination(request))
        return self._form(RegisterForm())

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Open the account and sign in."""
        form = RegisterForm(request.POST)
        if not form.is_valid():
            return self._form(form, status=422)
        fields = form.cleaned_data
        try:
            call(AUTHENTICATION).register(
                ctx=form.once(self.ctx),
                email=fields["email"],
                password=fields["password"],
                full_name=fields["full_name"],
                phone=fields["phone"],
                roles=tuple(Role(role) for role in fields["roles"]),
                locale=(get_language() or settings.LANGUAGE_CODE)[:2],
            )
        except DomainError as error:
            form.refuse(error)
            return self._form(form, status=status_of(error))
        person = authenticate(request, username=fields["email"], password=fields["password"])
        if person is None:  # the account exists; the sign-in page shows the problem
            return redirect("portal:sign-in")
        login(request, person)
        messages.success(request, gettext("Welcome! Your account is open."))
        return redirect(destination(request))

    def _form(self, form: RegisterForm, *, status: int = 200) -> HttpResponse:
        target = self.request.POST.get("next") or self.request.GET.get("next") or ""
        return self.show("register.html", status=status, form=form, next=target)


class Profile(Page):
    """The person's own account."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The account and the form to change it."""
        account = self._account()
        form = ProfileForm(initial={"full_name": account.full_name, "phone": account.phone, "locale": account.locale})
        return self.show("profile.html", form=form, account=account)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Change the account."""
        form = ProfileForm(request.POST)
        if not form.is_valid():
            return self.show("profile.html", status=422, form=form, account=self._account())
        fields: dict[str, Any] = form.cleaned_data
        try:
            call(AUTHENTICATION).update_profile(ctx=self.ctx, **fields)
        except DomainError as error:
            form.refuse(error)
            return self.show("profile.html", status=status_of(error), form=form, account=self._account())
        with override(fields["locale"]):  # the answer is already in the chosen language
            messages.success(request, gettext("Your profile was saved."))
        return set_locale(redirect("portal:profile"), fields["locale"])

    def _account(self) -> User:
        actor = self.ctx.actor.id
        if actor is None:
            raise PermissionDenied  # the page is for people who are signed in
        return call(AUTHENTICATION).get(ctx=self.ctx, user_id=actor)
