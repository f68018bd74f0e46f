"""Imports core's models for Django; they are defined beside the code that uses them."""

from apps.core.flags.models import Flag, FlagChange

__all__ = ["Flag", "FlagChange"]
