"""Signing in and out, registration, and one's own profile.

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
    "The e-mail or the password is wrong, or there were too many attempts. Check both, or wait 15 minutes and try again."
)
YEAR = 365 * 24 * 3600


def destination(request: HttpRequest) -> str:
    """Where to go after signing in: the page asked for, if it is one of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if ours else resolve_url(settings.LOGIN_REDIRECT_URL)


def speak(response: HttpResponse, locale: str) -> HttpResponse:
    """Make a language the browser's, as `set_language` does."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME, locale, max_age=YEAR, samesite="Lax", secure=settings.SECURE_COOKIES
    )
    return response


@method_decorator(sensitive_post_parameters("password"), name="dispatch")
class SignIn(Page):
    """Signing in."""

    public = True

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The form; someone who is signed in needs none."""
        if request.user.is_authenticated:
            return redirect(destination(request))
        return self._form(SignInForm())

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Check and go on. Locked out, unknown or wrong: one answer, so that nobody learns who is registered."""
        form = SignInForm(request.POST)
        if not form.is_valid():
            return self._form(form, status=422)
        person = authenticate(request, username=form.cleaned_data["email"], password=form.cleaned_data["password"])
        if person is None:
            form.add_error(None, gettext(NOT_SIGNED_IN))
            return self._form(form, status=401)
        login(request, person)
        response = redirect(destination(request))
        chosen = settings.LANGUAGE_COOKIE_NAME in request.COOKIES
        return response if chosen else speak(response, getattr(person, "locale", "") or settings.LANGUAGE_CODE)

    def _form(self, form: SignInForm, *, status: int = 200) -> HttpResponse:
        wanted = self.request.POST.get("next") or self.request.GET.get("next") or ""
        return self.show("sign_in.html", status=status, form=form, next=wanted)


class SignOut(Page):
    """Signing out; only by POST, so that no link does it."""

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
        given = form.cleaned_data
        try:
            call(AUTHENTICATION).register(
                ctx=form.once(self.ctx),
                email=given["email"],
                password=given["password"],
                full_name=given["full_name"],
                phone=given["phone"],
                roles=tuple(Role(role) for role in given["roles"]),
                locale=(get_language() or settings.LANGUAGE_CODE)[:2],
            )
        except DomainError as error:
            form.refuse(error)
            return self._form(form, status=status_of(error))
        person = authenticate(request, username=given["email"], password=given["password"])
        if person is None:  # the account exists; whatever went wrong, signing in says it
            return redirect("portal:sign-in")
        login(request, person)
        messages.success(request, gettext("Welcome! Your account is open."))
        return redirect(destination(request))

    def _form(self, form: RegisterForm, *, status: int = 200) -> HttpResponse:
        wanted = self.request.POST.get("next") or self.request.GET.get("next") or ""
        return self.show("register.html", status=status, form=form, next=wanted)


class Profile(Page):
    """One's own account."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """What is known of the person."""
        known = self._known()
        form = ProfileForm(initial={"full_name": known.full_name, "phone": known.phone, "locale": known.locale})
        return self.show("profile.html", form=form, known=known)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Change it."""
        form = ProfileForm(request.POST)
        if not form.is_valid():
            return self.show("profile.html", status=422, form=form, known=self._known())
        given: dict[str, Any] = form.cleaned_data
        try:
            call(AUTHENTICATION).update_profile(ctx=self.ctx, **given)
        except DomainError as error:
            form.refuse(error)
            return self.show("profile.html", status=status_of(error), form=form, known=self._known())
        with override(given["locale"]):  # the answer is already in the language that was chosen
            messages.success(request, gettext("Your profile was saved."))
        return speak(redirect("portal:profile"), given["locale"])

    def _known(self) -> User:
        actor = self.ctx.actor.id
        if actor is None:
            raise PermissionDenied  # the page is for people who are signed in
        return call(AUTHENTICATION).get(ctx=self.ctx, user_id=actor)
