"""A sale to ask about."""

from tests.seam.conftest import sale

__all__ = ["sale"]
