"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WorkflowConfig(AppConfig):
    """Workflows."""

    name = "apps.workflow"
    verbose_name = _("Workflow")
