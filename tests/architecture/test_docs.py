"""The pages are correct: the drawing is current, links lead somewhere, targets and paths exist."""

import json
import re
from pathlib import Path

import pytest
import yaml

from apps.core.seam import signing
from landcontracts import blueprint, layers
from landcontracts.topology import SERVICES

BASE = Path(__file__).resolve().parent.parent.parent
PAGES = [
    page
    for page in sorted(BASE.rglob("*.md"))
    if not {".venv", ".tools", "var", "build", "node_modules"} & set(page.relative_to(BASE).parts)
]


def test_the_architecture_page_is_drawn_from_this_code():
    page = blueprint.PAGE.read_text()
    assert page == blueprint.current(page), "run `make blueprint`"


def test_a_stale_page_is_noticed():
    page = blueprint.PAGE.read_text().replace("documents --> contracts", "documents --> nowhere")
    assert page != blueprint.current(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(BASE)))
def test_links_lead_somewhere(page: Path):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), target


LONGEST_LINE = 120


def long_lines(text: str) -> list[int]:
    """The lines of prose that are too long to be read beside code: not of tables, and not of code."""
    numbers, is_code = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.lstrip().startswith("|") and len(line) > LONGEST_LINE:
            numbers.append(number)
    return numbers


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(BASE)))
def test_lines_of_prose_are_short(page: Path):
    assert long_lines(page.read_text()) == []


def test_a_long_line_is_noticed():
    long = "word " * 30
    assert long_lines(f"short\n{long}\n```\n{long}\n```\n| {long} |\n") == [2]


def test_every_target_that_a_page_names_exists():
    makefile = (BASE / "Makefile").read_text()
    command = re.compile(r"(?:`|^)make ([a-z][a-z-]*)", re.MULTILINE)
    named = {name for page in PAGES for name in command.findall(page.read_text())}
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    assert named - targets == set()


def test_the_two_readmes_have_the_same_commands():
    commands = [
        re.findall(r"```sh\n(.*?)```", (BASE / name).read_text(), re.DOTALL) for name in ("README.md", "README.ru.md")
    ]
    bare = [[re.sub(r"\s+#.*", "", line) for block in page for line in block.splitlines()] for page in commands]
    assert bare[0] == bare[1]


def test_the_wires_example_is_signed_as_the_page_says():
    page = (BASE / "docs" / "wire.md").read_text()
    body = (BASE / "docs" / "wire-example.json").read_bytes()
    secret = signing._pair_secret("correct horse", "monolith", "documents")
    seal = signing._seal(secret, "POST", "/internal/seam/documents/sweep", 1767225600000, signing.digest_of(body))
    assert f"    {secret.hex()}\n" in page
    assert f"X-Seam-Signature: {seal}\n" in page
    assert f"X-Seam-Body-SHA256: {signing.digest_of(body)}\n" in page
    assert f"{len(body)} bytes" in page


def test_the_compose_file_has_every_queue_and_the_image_the_same_server():
    compose = yaml.safe_load((BASE / "docker-compose.yml").read_text())
    worker = compose["services"]["worker"]["command"]
    assert worker[worker.index("-Q") + 1].split(",") == ["clock", *(f"events.{service}" for service in SERVICES)]
    assert {"postgres", "valkey", "s3", "migrate", "web", "worker", "clock"} <= set(compose["services"])
    for service in SERVICES:
        apart = compose["services"][service]
        assert apart["profiles"] == [service]
        assert apart["command"][2:4] == ["serve", service]
        assert (
            json.loads(apart["environment"]["SEAM_AWAY"])[service]
            == f"http://{service}:{apart['command'][-1].split(':')[1]}"
        )
        assert apart["image"] == compose["services"]["web"]["image"]
    named = set(re.findall(r"\$\{(\w+)", (BASE / "docker-compose.yml").read_text()))
    documented = set(re.findall(r"^#? ?(\w+)=", (BASE / ".env.example").read_text(), re.MULTILINE))
    assert named <= documented, named - documented


def test_the_drawing_of_an_app_has_no_arrow_up():
    for package in blueprint.LAYERED:
        drawn = layers.of(package)
        for part, imported in drawn.imports.items():
            assert all(drawn.order.index(other) < drawn.order.index(part) for other in imported)


def test_a_circle_stops_the_drawing(tmp_path: Path):
    for name, line in (("below", "from apps.x.above import y"), ("above", "def f():\n    from apps.x import below")):
        (tmp_path / "apps" / "x" / name).mkdir(parents=True)
        (tmp_path / "apps" / "x" / name / "module.py").write_text(line)
    with pytest.raises(layers.ImportCycle, match=r"apps\.x: "):
        layers.of("apps.x", tmp_path)


def test_at_most_a_dozen_modules_are_slow():
    marked = [
        file
        for file in (BASE / "tests").rglob("test_*.py")
        if re.search(r"^(pytestmark =.*| +)pytest\.mark\.slow", file.read_text(), re.MULTILINE)
    ]
    assert 0 < len(marked) <= 12, marked
