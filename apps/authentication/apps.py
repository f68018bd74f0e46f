"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AuthenticationConfig(AppConfig):
    """Accounts and tokens."""

    name = "apps.authentication"
    verbose_name = _("People and access")
