"""Application configurations of the kernel, and of waffle without its signals."""

from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _
from waffle.apps import WaffleConfig as BaseWaffleConfig


class CoreConfig(AppConfig):
    """The seam, flags and command keys."""

    name = "apps.core"
    verbose_name = _("Platform")

    def ready(self) -> None:
        from apps.core.monitoring import collectors, worker
        from apps.core.observability import otlp
        from apps.core.rest import network
        from apps.core.seam.verify.system_checks import check_services

        register(check_services)
        register(network.check_proxies)
        otlp.start()
        collectors.register()
        worker.connect()


class WaffleConfig(BaseWaffleConfig):
    """Waffle connects signals that need a flag model with users and groups; ours has neither."""

    def ready(self) -> None:
        """Connect nothing."""
