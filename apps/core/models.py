"""Where Django looks for core's models; they stand beside the code that answers by them."""

from apps.core.flags.models import Flag, FlagChange

__all__ = ["Flag", "FlagChange"]
