"""The models, imported here for Django; each is defined beside the code that writes it."""

from apps.extraction.decommission.models import ChecklistResult, Override, SignOff
from apps.extraction.routing.canary.models import (
    CallObserver,
    CanaryCalls,
    CanaryDeployment,
    CanaryEntry,
    CanaryFirst,
)
from apps.extraction.routing.shadow.models import ShadowComparison
from apps.extraction.state.models import Dashboard, Move

__all__ = [
    "CallObserver",
    "CanaryCalls",
    "CanaryDeployment",
    "CanaryEntry",
    "CanaryFirst",
    "ChecklistResult",
    "Dashboard",
    "Move",
    "Override",
    "ShadowComparison",
    "SignOff",
]
