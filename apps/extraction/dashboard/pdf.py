"""A report as a PDF/A, typeset by Typst from one template: people's texts are values there, never markup."""

from __future__ import annotations

from pathlib import Path

import msgspec
from django.conf import settings

from apps.extraction.dashboard.report import Report

TEMPLATE = Path(settings.BASE_DIR) / "templates" / "extraction" / "report.typ"


def pdf(report: Report, *, language: str) -> bytes:
    """The report's PDF, in the language in which it was gathered."""
    import typst  # forty megabytes, needed only here

    inputs = {"report": msgspec.json.encode(report).decode(), "language": language[:2]}
    document: bytes = typst.compile(str(TEMPLATE), sys_inputs=inputs, pdf_standards=["a-2b"], ignore_system_fonts=True)
    return document
