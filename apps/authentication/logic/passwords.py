"""Hashing and checking passwords, outside any transaction: a hash takes tens of milliseconds on purpose."""

from __future__ import annotations

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from apps.authentication.interface import WeakPassword
from apps.authentication.models import User


def hashed(password: str, *, email: str, full_name: str) -> str:
    """The hash to store. Raises: WeakPassword."""
    try:
        validate_password(password, user=User(email=email, full_name=full_name))
    except ValidationError as error:
        raise WeakPassword(problems=tuple(str(message) for message in error.messages)) from None
    return make_password(password)


def matches(user: User | None, password: str) -> bool:
    """Whether the password is this active person's. Takes equally long for an unknown person."""
    if user is None:
        make_password(password)
        return False
    return check_password(password, user.password) and user.is_active
