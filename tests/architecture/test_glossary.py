"""The glossary and the invariants name existing lines and tests."""

import re
from pathlib import Path

import pytest

BASE = Path(__file__).resolve().parent.parent.parent
GLOSSARY = (BASE / "docs" / "glossary.md").read_text()
INVARIANTS = (BASE / "docs" / "invariants.md").read_text()
LINES = re.findall(r"^\| `(.+)` \| `(apps/\S+\.py)` \|$", GLOSSARY, re.MULTILINE)


def test_the_glossary_ends_with_ten_lines():
    assert len(LINES) == 10


@pytest.mark.parametrize(("line", "module"), LINES)
def test_each_line_stands_in_its_module_once(line: str, module: str):
    assert (BASE / module).read_text().splitlines().count(line) == 1


@pytest.mark.parametrize(
    "spelling", re.findall(r"^\| `(\w+)`(?:, `\w+`)? \| (?:environment|column|name)", GLOSSARY, re.MULTILINE)
)
def test_a_kept_spelling_is_still_in_use(spelling: str):
    assert any(
        spelling in file.read_text() for folder in ("apps", "landcontracts") for file in (BASE / folder).rglob("*.py")
    )


def test_every_invariant_is_held_by_tests_that_exist():
    numbers = [int(number) for number in re.findall(r"^(\d+)\. \*\*", INVARIANTS, re.MULTILINE)]
    assert numbers == list(range(1, 11))
    held = dict(re.findall(r"^\| (\d+) \| (.+) \|$", INVARIANTS, re.MULTILINE))
    assert list(map(int, held)) == numbers
    for tests in held.values():
        for name in re.findall(r"`(\S+?\.py(?:::\w+)?)`", tests):
            file, _, function = name.partition("::")
            text = (BASE / file).read_text()
            assert f"def {function}(" in text if function else "def test_" in text, name


def test_references_to_an_invariant_lead_to_the_page():
    """`invariant 7` in the code is followed by the page that has it."""
    for folder in ("apps", "landcontracts", "tests"):
        for file in (BASE / folder).rglob("*.py"):
            text = file.read_text()
            assert not re.search(r"DESIGN sec" + "tion", text), file
            if file.name != "test_glossary.py":
                assert not re.search(r"\(invariant \d+\)", text), file
