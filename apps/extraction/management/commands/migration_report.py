"""`manage.py migration_report --from 2026-11-01 --to 2026-11-30 --output report.pdf`: the report of a period."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.loader import render_to_string
from django.utils import translation

from apps.extraction.dashboard import forms, pdf, report


class Command(BaseCommand):
    """Writes the report that the dashboard shows."""

    help = "Write the migration's report of a period (days, both included; the last thirty by default) as PDF or HTML"
    requires_system_checks = ()  # `migrate` and `serve` run them; here they would load every page

    def add_arguments(self, parser: CommandParser) -> None:
        """The period, the file and its language."""
        parser.add_argument("--from", dest="first", help="YYYY-MM-DD")
        parser.add_argument("--to", dest="last", help="YYYY-MM-DD")
        parser.add_argument("--output", type=Path, required=True, help="a file that ends in .pdf or .html")
        languages = [code for code, _ in settings.LANGUAGES]
        parser.add_argument("--language", choices=languages, default=settings.LANGUAGE_CODE)

    def handle(self, *args: Any, **options: Any) -> None:
        """Gather and write. Raises: CommandError."""
        output: Path = options["output"]
        if output.suffix not in {".pdf", ".html"}:
            raise CommandError(f"{output}: the name has to end in .pdf or .html")
        period = {name: value for name, value in (("from", options["first"]), ("to", options["last"])) if value}
        with translation.override(options["language"]):
            form = forms.Period(period)
            if form.is_bound and not form.is_valid():
                raise CommandError(
                    "; ".join(f"--{name}: {' '.join(map(str, problems))}" for name, problems in form.errors.items())
                )
            gathered = report.gather(*form.span())
            if output.suffix == ".pdf":
                content = pdf.pdf(gathered, language=options["language"])
            else:
                context = {"report": gathered, "language": options["language"]}
                content = render_to_string("extraction/report.html", context).encode()
        try:
            output.write_bytes(content)
        except OSError as error:
            raise CommandError(f"{output}: {error.strerror}") from None
        self.stdout.write(f"{output}: {len(content)} bytes, {gathered.period}")
