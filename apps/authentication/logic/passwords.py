"""Hashing and checking passwords, outside any transaction: a hash takes tens of milliseconds on purpose."""

from __future__ import annotations

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from apps.authentication.interface import WeakPassword
from apps.authentication.models import User, normalised, older_forms


def hashed(password: str, *, email: str, full_name: str) -> str:
    """The hash to store. Raises: WeakPassword."""
    validate(password, email=email, full_name=full_name)
    return make_password(normalised(password))


def validate(password: str, *, email: str, full_name: str) -> None:
    """Refuse a password that is easy to guess. Raises: WeakPassword."""
    try:
        validate_password(normalised(password), user=User(email=email, full_name=full_name))
    except ValidationError as error:
        raise WeakPassword(problems=tuple(str(message) for message in error.messages)) from None


def matches(user: User | None, password: str) -> bool:
    """Whether the password is this active person's. Takes equally long for an unknown person.

    Where the hash is of an older form (not of NFC, or at another cost), `user.password` is the new one, not saved yet.
    """
    form, older = normalised(password), older_forms(password)
    if user is None:
        for typed in (form, *older):
            make_password(typed)
        return False
    renewed: list[str] = []
    is_right = check_password(form, user.password, setter=lambda raw: renewed.append(make_password(raw)))
    for typed in older:
        if not is_right and check_password(typed, user.password):
            is_right = True
            renewed = [make_password(form)]
    if is_right and renewed:
        user.password = renewed[-1]
    return is_right and user.is_active
