"""Each recipe of docs/extending.md works: it changes the files that it lists and no others, and its tests pass. So does a
new app, which is lifted out and moved as well."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from landcontracts.embedded.stack import BASE
from tests.drills.test_lift import ENGINES
from tests.recipes.recipe import PAGE, Recipe, Unfit, patched, recipes
from tests.tree import copy_tree

pytestmark = pytest.mark.slow
# What writes a migration or a document asks no table.
NO_DATABASE = {"DATABASE_URL": "postgres://x@127.0.0.1:1/x", "SERVICE_DATABASE_URLS": "{}"}
RECIPES = recipes((BASE / PAGE).read_text())


def run(tree: Path, *command: str, **environment: str | None) -> str:
    """Run a command in a tree, beside which its compiled files are kept; None takes a variable away."""
    compiled = {"PYTHONPYCACHEPREFIX": str(tree / "build/pycache")}
    merged = {name: value for name, value in {**os.environ, **compiled, **environment}.items() if value is not None}
    done = subprocess.run(command, cwd=tree, env=merged, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-6000:]}{done.stderr[-4000:]}"
    return done.stdout


def without_engines() -> dict[str, None]:
    """For a command that starts a stack of its own."""
    return dict.fromkeys(ENGINES)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, to which the recipes are applied one after the other."""
    return copied(tmp_path_factory.mktemp("recipes"))


@pytest.fixture(scope="module")
def tree_of_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another copy with the new app, after an attempt with a name that is taken. It uses the packages installed here."""
    folder = copied(tmp_path_factory.mktemp("app"))
    for name in (".venv", ".tools"):
        (folder / name).symlink_to(BASE / name)
    if (BASE / ".mypy_cache").exists():  # what has not changed is not checked again
        shutil.copytree(BASE / ".mypy_cache", folder / ".mypy_cache")
    with pytest.raises(AssertionError, match="there is such an app"):
        run(folder, "make", "app", "NAME=documents", **without_engines())
    assert run(folder, "git", "status", "--porcelain", "apps", "landcontracts", "tests") == ""
    run(folder, "make", "app", f"NAME={APP}", "TITLE=Surveys", "TITLE_RU=Обследования", **without_engines())
    return folder


def copied(folder: Path) -> Path:
    """Copy the tree as it is, under version control of its own, so that what changes is seen."""
    folder.chmod(0o755)
    copy_tree(folder)
    run(folder, "git", "init", "-q")
    commit(folder)
    return folder


def commit(tree: Path) -> None:
    run(tree, "git", "add", "-A")
    identity = ("-c", "user.name=test", "-c", "user.email=test@landcontracts.example")
    run(tree, "git", *identity, "commit", "-q", "--allow-empty", "-m", "as it is")


def test_the_page_has_the_five():
    assert [recipe.name for recipe in RECIPES] == [
        "A contract's field",
        "A signature algorithm",
        "A REST endpoint",
        "A notification",
        "An alert",
    ]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_changes_the_files_that_it_lists(tree: Path, recipe: Recipe):
    recipe.apply(tree)
    for command in recipe.commands:
        if not command.startswith("pytest"):
            run(tree, *_python(command), **NO_DATABASE)
    changed = set(filter(None, run(tree, "git", "ls-files", "-m", "-o", "--exclude-standard").split("\n")))
    commit(tree)
    assert changed == recipe.files


def test_the_tests_of_all_recipes_pass(tree: Path):
    """On one stack whose tables and server are those of the changed tree; after the tests above, which have changed it."""
    tests = [command for recipe in RECIPES for command in recipe.commands if command.startswith("pytest")]
    output = run(tree, *on_a_stack(tests), **without_engines())
    assert output.count(" passed") == len(tests)


def on_a_stack(tests: list[str]) -> list[str]:
    script = " && ".join(shlex.join([sys.executable, "-m", *shlex.split(command)]) for command in tests)
    stack = [sys.executable, "-m", "landcontracts.embedded", "exec", "--name", "recipes", "--web", "--"]
    return [*stack, "sh", "-c", script]


APP = "surveys"
# With its own tests: those of what it is registered in and of what is drawn from the code.
TESTS = (
    "pytest apps/surveys tests/architecture tests/pacts/test_files.py tests/playbook/test_pages.py "
    "--deselect tests/architecture/test_layers.py"
)


def test_a_new_app_fits(tree_of_app: Path):
    """It passes what `make check` runs before the tests, and its own tests."""
    run(tree_of_app, "make", "lint", "types", "boundaries", "docs")
    assert run(tree_of_app, "msgattrib", "--untranslated", "--no-obsolete", "locale/ru/LC_MESSAGES/django.po") == ""
    assert " passed" in run(tree_of_app, *on_a_stack([TESTS]), **without_engines())


@pytest.mark.parametrize("drill", ["tests.drills", "tests.drills.move"])
def test_a_new_app_is_lifted_out_and_moved(tree_of_app: Path, drill: str):
    run(tree_of_app, sys.executable, "-m", drill, "--light", APP, **without_engines())


def _python(command: str) -> list[str]:
    program, *arguments = shlex.split(command)
    assert program == "python"
    return [sys.executable, *arguments]


def test_a_change_that_has_no_place_is_refused():
    with pytest.raises(Unfit, match="no such place"):
        patched("a\nb\n", " c\n+d\n", "x.py")
    with pytest.raises(Unfit, match="2 times"):
        patched("a\na\n", " a\n+d\n", "x.py")
    with pytest.raises(Unfit, match="there already"):
        patched("a\n", "+d\n", "x.py")


def test_a_change_stands_in_its_place():
    assert patched("a\nb\nc\n", " a\n-b\n+d\n", "x.py") == "a\nd\nc\n"
    assert patched("a\ndef f(x):\n", " def f\n+def g(x):\n+\n+\n def f\n", "x.py") == "a\ndef g(x):\n\n\ndef f(x):\n"
    assert patched("", "+a\n", "x.py") == "a\n"
