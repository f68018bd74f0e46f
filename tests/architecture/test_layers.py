"""The layers of core, backups and extraction hold, and each contract notices a violation that is planted in a copy of the tree."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASE = Path(__file__).resolve().parent.parent.parent


def lint(tree: Path, contract: str = "") -> subprocess.CompletedProcess[str]:
    """Run import-linter over a tree, with all of its contracts or the one of a name."""
    program = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--no-logo", *(["--contract", contract] if contract else [])],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code and its contracts, to be broken."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("apps", "landcontracts"):
        shutil.copytree(BASE / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "tests", "migrations"))
    # A contract without a name of its own cannot be asked for alone, and all of them take a minute.
    text = (BASE / "pyproject.toml").read_text()
    for title, key in CONTRACTS.items():
        text = text.replace(f'name = "{title}"', f'name = "{title}"\nid = "{key}"')
    (tree / "pyproject.toml").write_text(text)
    return tree


CONTRACTS = {
    "Core is layered": "core-layers",
    "The seam is layered": "seam-layers",
    "No circle among core's modules": "core-circles",
    "Backups know core only": "backups",
    "No circle among the modules of backups": "backups-circles",
    "Extraction is layered": "extraction-layers",
    "No circle among extraction's modules": "extraction-circles",
}
PLANTED = {
    "the database that asks the seam": (
        "core-layers",
        "apps/core/database/router.py",
        "from apps.core.seam.client.registry import call",
    ),
    "an interface that needs a flag": (
        "core-layers",
        "apps/core/interface/dto.py",
        "from apps.core.flags import snapshot",
    ),
    "the answering end that knows the caller's": (
        "seam-layers",
        "apps/core/seam/server/commands.py",
        "from apps.core.seam.client import registry",
    ),
    "two modules of one folder in a circle": (
        "core-circles",
        "apps/core/postgres/connections.py",
        "from apps.core.postgres import replication",
    ),
    "a backup that asks where a migration stands": (
        "backups",
        "apps/backups/take.py",
        "from apps.extraction.state import stages",
    ),
    "two modules of backups in a circle": (
        "backups-circles",
        "apps/backups/manifest.py",
        "from apps.backups import take",
    ),
    "a relocation that turns a flag": (
        "extraction-layers",
        "apps/extraction/relocation/cutover.py",
        "from apps.extraction.routing import shares",
    ),
    "a stage that knows its actions": (
        "extraction-layers",
        "apps/extraction/state/stages.py",
        "from apps.extraction.pipeline.actions import ACTIONS",
    ),
    "two modules of the judge in a circle": (
        "extraction-circles",
        "apps/extraction/routing/judge/measures.py",
        "from apps.extraction.routing.judge import ruling",
    ),
}


@pytest.mark.parametrize("contract", CONTRACTS.values())
def test_the_layers_hold(copy: Path, contract: str):
    done = lint(copy, contract)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_import_upwards_is_noticed(copy: Path, kind: str):
    contract, name, line = PLANTED[kind]
    file = copy / name
    before = file.read_text()
    try:
        file.write_text(f"{before}\n{line}  # planted\n")
        done = lint(copy, contract)
    finally:
        file.write_text(before)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 kept, 1 broken" in done.stdout
