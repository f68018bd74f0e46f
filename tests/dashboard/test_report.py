"""The report of a period: what happened, with who and why, as a page, as a file, and as a PDF that says the same."""

import io
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pikepdf
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone, translation

from apps.extraction.dashboard import history
from apps.extraction.dashboard import pdf as dashboard_pdf
from apps.extraction.dashboard import report as dashboard_report
from apps.extraction.routing import shares
from apps.extraction.routing.canary import controller
from apps.extraction.routing.shadow.models import ShadowComparison
from apps.extraction.state.initiator import Initiator
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import Stage
from tests.dashboard.conftest import HOME, SERVICE, sign_in

REPORT = f"{HOME}report/"


@pytest.fixture
def happened(watched, moved):
    """A canary that was rolled back, cutovers, a mismatch and a backup."""
    controller.roll_back(SERVICE, Initiator("Мария Щербакова", "test", "жалобы людей"))
    differing = ShadowComparison.objects.create(
        service=SERVICE, method="list", verdict="mismatch", fields=["text"], primary_side="home", primary_ms=1, other_ms=2,
        request_id="r", trace="t", arguments={}, primary_answer={}, other_answer={},
    )  # fmt: skip
    backed_up = Move.objects.create(
        service="documents", verb="decommission", who="Пётр", where="test", outcome=Outcome.FAILED,
        facts={"backup": "/var/backups/documents-ab12.dump", "rows": 98765, "sha256": "f" * 64},
    )  # fmt: skip
    yield
    differing.delete()
    backed_up.delete()


def test_the_page_has_every_part(happened):
    page = sign_in("en").get(REPORT).content.decode().replace("\xa0", " ")
    for words in ("Services migrated", "0 of 7", "Stages", "жалобы людей", "Мария Щербакова", "rolled back", "41.5 ms",
                 "123456", "Rolled back", "way back: &lt;b&gt;behind", "list", "documents-ab12.dump", "98765", "f" * 64,
                 "Nothing is against the canary so far"):  # fmt: skip
        assert words in page, words


def test_an_empty_period_is_reported_as_such(database: None):
    page = sign_in("en").get(f"{REPORT}?from=2019-01-01&to=2019-01-31").content.decode()
    for words in ("There was no canary.", "Nothing was cut over.", "Nothing went wrong.", "There were no actions."):
        assert words in page


@pytest.mark.parametrize(
    "query",
    ["from=2026-02-30", "from=x", "from=2026-01-02&to=2026-01-01", "to=9999-12-31", "to=0001-01-01", "from=2001-01-01&to=2026-01-01"],
)  # fmt: skip
def test_an_invalid_period_is_reported_at_its_field(admin: Client, query: str):
    for path in (REPORT, f"{HOME}report.pdf"):
        answer = admin.get(f"{path}?{query}")
        assert answer.status_code == 422
        assert 'class="dash-error"' in answer.content.decode()


def text_of(pdf: bytes, folder: Path) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("needs Debian's poppler-utils (pdftotext)")
    (folder / "report.pdf").write_bytes(pdf)
    done = subprocess.run(
        ["pdftotext", "-layout", folder / "report.pdf", "-"], capture_output=True, text=True, check=True
    )
    return done.stdout.replace("\xa0", " ")


def test_the_pdf_is_valid_and_says_the_same_in_cyrillic(admin: Client, happened, tmp_path: Path):
    answer = admin.get(f"{HOME}report.pdf")
    assert answer["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    with pikepdf.open(io.BytesIO(answer.content)) as document:
        assert len(document.pages) >= 1
        assert document.check_pdf_syntax() == []
        metadata = document.open_metadata()
        assert metadata["pdfaid:part"] == "2"
        fonts = [font for page in document.pages for font in page.resources.Font.values()]
        assert all("/ToUnicode" in font for font in fonts)
    text = text_of(answer.content, tmp_path)
    for words in ("жалобы", "Щербакова", "ночное", "41,5", "123456", "98765"):
        assert words in text, words


def test_markup_in_a_reason_is_printed_and_not_executed(tmp_path: Path):
    section = dashboard_report.Section(
        heading="#panic()", columns=("a",), widths=(1,), rows=(('#read("/etc/passwd") *b* $x$ <script>',), ("щ" * 900,)),
        empty="", note="= no heading",
    )  # fmt: skip
    report = dashboard_report.Report(title="Отчёт", period="—", made="", contents=(section,))
    text = text_of(dashboard_pdf.pdf(report, language="ru"), tmp_path)
    assert '#read("/etc/passwd") *b* $x$ <script>' in text
    assert "#panic()" in text
    assert "= no heading" in text


def test_the_command_writes_a_file_of_either_kind(happened, tmp_path: Path):
    today = f"{timezone.localdate():%Y-%m-%d}"
    for name, language in (("report.pdf", "ru"), ("report.html", "en")):
        out = io.StringIO()
        call_command("migration_report", "--from", today, "--to", today, "--output", str(tmp_path / name),
                     "--language", language, stdout=out)  # fmt: skip
        assert name in out.getvalue()
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")
    page = (tmp_path / "report.html").read_text()
    assert 'lang="en"' in page
    assert "жалобы людей" in page
    assert "<script>" not in page
    for wrong in (("--output", str(tmp_path / "x.doc")), ("--output", "/nowhere/x.pdf"),
                  ("--from", "x", "--output", str(tmp_path / "x.pdf"))):  # fmt: skip
        with pytest.raises(CommandError):
            call_command("migration_report", *wrong, stdout=io.StringIO())


def test_a_stage_of_the_past_is_what_was_done_until_then(database: None):
    now = timezone.now()
    move_ids = []
    for hours, verb, facts in (
        (9, "sync", {}), (8, "verify", {"differences": 0}), (7, "cutover", {}), (6, "rollback", {}), (5, "cutover", {}),
        (4, "commit", {}), (3, "decommission", {}),
    ):  # fmt: skip
        at = now - timedelta(hours=hours)
        move = Move.objects.create(service="workflow", verb=verb, who="t", where="t", outcome=Outcome.DONE, facts=facts)
        Move.objects.filter(id=move.id).update(started_at=at, ended_at=at)
        move_ids.append(move.id)
    try:
        stages = [
            history.stage_at("workflow", now - timedelta(hours=hours)) for hours in (8.5, 7.5, 6.5, 5.5, 4.5, 3.5, 1)
        ]
    finally:
        Move.objects.filter(id__in=move_ids).delete()
    assert stages == [Stage.SYNCING, Stage.VERIFIED, Stage.REVERSIBLE, Stage.SYNCING, Stage.REVERSIBLE, Stage.COMMITTED,
                      Stage.DECOMMISSIONED]  # fmt: skip


def test_a_stage_of_the_past_is_what_the_flags_were(database: None):
    before = timezone.now()
    shares.set_share("workflow", "remote", 30)
    canary = timezone.now()
    shares.set_share("workflow", "remote", 0)
    shares.set_share("workflow", "shadow", 5)
    shadow = timezone.now()
    shares.set_share("workflow", "shadow", 0)
    assert [history.stage_at("workflow", at) for at in (before, canary, shadow)] == [
        Stage.IN_PROCESS, Stage.CANARY, Stage.SHADOW,
    ]  # fmt: skip


def test_a_report_is_in_its_readers_language(happened):
    now = timezone.now()
    with translation.override("en"):
        english = dashboard_report.gather(now - timedelta(days=1), now + timedelta(days=1))
    assert english.title == "Migration report"
    assert [len(section.columns) for section in english.contents] == [
        len(section.widths) for section in english.contents
    ]
    assert all(len(row) == len(section.columns) for section in english.contents for row in section.rows)
