"""The boundaries hold in this tree, and each kind of planted violation is reported."""

import tomllib
from pathlib import Path

import pytest

from tests.architecture.boundaries import BOUNDED, violations

APPS = Path(__file__).resolve().parent.parent.parent / "apps"


def test_no_app_reaches_into_another():
    assert violations(APPS) == []


PLANTED = {
    "an import of another app's models": ("documents/service.py", "from apps.contracts.models import Contract"),
    "an import of another app's service": ("documents/handlers.py", "from apps.contracts import service"),
    "an interface that imports another": ("documents/interface.py", "from apps.contracts.interface import Contract"),
    "an interface that imports Django": ("documents/interface.py", "from django.db import models"),
    "core that knows an app": ("core/seam/x.py", "from apps.contracts.interface import CONTRACTS"),
    "REST that passes by its interface": ("documents/rest/views.py", "from apps.documents.models import Document"),
    "logic that calls a service": ("documents/logic/x.py", "from apps.core.seam.client.registry import call"),
    "a string foreign key": ("documents/models.py", "models.ForeignKey('contracts.Contract', on_delete=1)"),
    "a model looked up by name": ("documents/service.py", "apps.get_model('contracts', 'Contract')"),
    "a signal": ("documents/service.py", "from django.db.models.signals import post_save"),
    "a connected signal": ("documents/service.py", "post_save.connect(print)"),
    "a join in raw SQL": (
        "documents/logic/x.py",
        "SQL = 'SELECT 1 FROM documents_document d JOIN contracts_contract c'",
    ),
    "a transaction across apps": ("documents/service.py", "with transaction.atomic():\n    pass"),
    "the control plane that asks an app other than datasync": (
        "extraction/relocation/x.py",
        "from apps.contracts.interface import CONTRACTS",
    ),
    "a page that reads tables": ("portal/views.py", "from apps.contracts.models import Contract"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_violation_is_seen(tmp_path: Path, kind: str):
    name, source = PLANTED[kind]
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text(f'"""A docstring about FROM contracts_contract does not count."""\n{source}\n')
    reported = violations(tmp_path)
    assert len(reported) == 1, reported
    assert reported[0].startswith(f"{name}:2")


@pytest.mark.parametrize("app", BOUNDED)
def test_every_app_has_the_same_files_under_the_same_names(app: str):
    allowed = {
        "README.md", "apps.py", "interface.py", "service.py", "mapping.py", "logic", "models.py", "gateways", "rest",
        "handlers.py", "tasks.py", "admin.py", "management", "testing.py", "migrations", "tests", "__init__.py",
        "__pycache__", "backends.py", "device_cookie.py", "hashers.py", "sessions.py",
    }  # fmt: skip
    present = {path.name for path in (APPS / app).iterdir()}
    assert present <= allowed, present - allowed
    assert {"README.md", "interface.py", "service.py", "testing.py", "rest", "admin.py"} <= present


@pytest.mark.parametrize("app", BOUNDED)
def test_a_readme_is_short_and_says_whose_a_line_is(app: str):
    text = (APPS / app / "README.md").read_text()
    assert len(text.splitlines()) <= 80
    for heading in ("Owns", "Never owns", "Tables", "Events", "Where does my line go"):
        assert heading in text


def test_every_app_has_an_import_contract():
    linter = tomllib.loads((APPS.parent / "pyproject.toml").read_text())["tool"]["importlinter"]
    guarded = {
        tuple(contract["allowed_importers"]) for contract in linter["contracts"] if contract["type"] == "protected"
    }
    assert {(f"apps.{app}",) for app in BOUNDED} <= guarded


def test_files_stay_small():
    long = {
        str(path.relative_to(APPS)): lines
        for path in APPS.rglob("*.py")
        if "migrations" not in path.parts
        and "tests" not in path.parts
        and (lines := len(path.read_text().splitlines())) > 350
    }
    assert long == {}
