"""Application configuration."""

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """Browser pages; a pure consumer of interfaces."""

    name = "apps.portal"
