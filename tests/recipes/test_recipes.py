"""Each recipe of docs/extending.md works: it changes the files that it lists and no others, and its tests pass."""

from __future__ import annotations

import os
import shlex
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


def run(tree: Path, *command: str, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=tree, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-6000:]}{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree as it is, under version control of its own, so that what changes is seen."""
    folder = tmp_path_factory.mktemp("recipes")
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


@pytest.mark.timeout(300)
def test_the_tests_of_all_recipes_pass(tree: Path):
    """On one stack whose tables and server are those of the changed tree; after the tests above, which have changed it."""
    environment = {name: value for name, value in os.environ.items() if name not in ENGINES}
    script = " && ".join(
        shlex.join([sys.executable, "-m", *shlex.split(command)])
        for recipe in RECIPES
        for command in recipe.commands
        if command.startswith("pytest")
    )
    command = [
        sys.executable,
        "-m",
        "landcontracts.embedded",
        "exec",
        "--name",
        "recipes",
        "--web",
        "--",
        "sh",
        "-c",
        script,
    ]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert done.stdout.count(" passed") == len(RECIPES)


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
