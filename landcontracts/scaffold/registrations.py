"""Where the platform names its services: a new app gets its line in each of these files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Registration(NamedTuple):
    """A place in a file, as a pattern that matches once, and what is written there; `\\g<0>` is what was matched.

    NAME, KEY and CLASS stand for the new app's.
    """

    file: str
    place: str
    written: str


class PlaceNotFound(LookupError):
    """A file has no such place, or several."""


class App(NamedTuple):
    """A new app: its name, and its title in both languages."""

    name: str
    title: str
    title_ru: str

    @property
    def class_(self) -> str:
        """The name of its implementation."""
        return self.name.capitalize()

    def fill(self, text: str) -> str:
        """Put the app's names into a text."""
        words = {"NAME": self.name, "KEY": self.name.upper(), "CLASS": self.class_}
        return re.sub("|".join(words), lambda match: words[match[0]], text)


def register(app: App, tree: Path) -> list[str]:
    """Write the app into every file; the files. All places are looked up before the first file is written.

    Raises: PlaceNotFound.
    """
    texts: dict[str, str] = {}
    for registration in REGISTRATIONS:
        text = texts.get(registration.file) or (tree / registration.file).read_text()
        written, count = re.subn(registration.place, app.fill(registration.written), text)
        if count != 1:
            raise PlaceNotFound(f"{registration.file}: {registration.place!r} is there {count} times")
        texts[registration.file] = written
    texts |= {file: _translated((tree / file).read_text(), words) for file, words in _words(app).items()}
    for file, text in texts.items():
        (tree / file).write_text(text)
    return list(texts)


def _words(app: App) -> dict[str, dict[str, str]]:
    russian = {"entry": "запись", "entries": "записи", "author": "автор", "text": "текст", app.title: app.title_ru}
    return {
        "locale/ru/LC_MESSAGES/django.po": russian,
        "locale/en/LC_MESSAGES/django.po": dict.fromkeys(russian, ""),
    }


def _translated(catalogue: str, words: dict[str, str]) -> str:
    """A catalogue with these messages, if it has not got them. Empty translations are the messages themselves."""
    for message, translation in words.items():
        if f'msgid "{message}"\n' not in catalogue:
            catalogue += f'\nmsgid "{message}"\nmsgstr "{translation or message}"\n'
    return catalogue


ROLES = ("app", "control", "replicator")
CONTRACT = """[[tool.importlinter.contracts]]
name = "Only NAME sees behind its interface"
type = "protected"
protected_modules = ["apps.NAME.service", "apps.NAME.handlers", "apps.NAME.mapping", "apps.NAME.models"]
allowed_importers = ["apps.NAME"]

"""
PROFILE = """  NAME:
    <<: *lifted
    profiles: [NAME]
    command: ["python", "manage.py", "serve", "NAME", "--bind", "0.0.0.0:8101"]

"""
ROWS = """    "NAME": (
        Rows(
            "NAME_entry",
            2,
            {
                "id": _id("entry"),
                "contract_id": _id("contract", "u"),
                "author_id": f"CASE WHEN i %% 2 = 0 THEN {_id('person')} END",
                "text": "'Запись № ' || i",
                "created_at": AGO,
            },
        ),
        *_logs("NAME", "record", "recorded", 1),
    ),
"""
USE = '''def record_in_NAME(sale: Sale, _: Recorder) -> None:
    """The buyer records an entry about the contract, and reads all of them; a stranger reads none."""
    buyer, stranger = (sale.world.ctx(sale.people[person]) for person in ("buyer", "stranger"))
    call(KEY).record(ctx=buyer, contract_id=sale.contract.id, text="Read.")
    call(KEY).for_contract(ctx=buyer, contract_id=sale.contract.id)
    call(KEY).for_contract(ctx=stranger, contract_id=sale.contract.id)


'''
REGISTRATIONS = (
    Registration(
        "landcontracts/topology.py",
        r'    "datasync": Entry\(\n',
        """    "NAME": Entry(
        key="apps.NAME.interface.KEY",
        implementation="apps.NAME.service.CLASS",
        consumes=("contracts.contract_created",),
        as_system=EDGE,
    ),
\\g<0>""",
    ),
    Registration(
        "landcontracts/gateway/table.py", r' +\*_api\("datasync", .*\n', '            *_api("NAME", "NAME"),\n\\g<0>'
    ),
    Registration("pyproject.toml", r'    "apps\.datasync",\n    "apps\.backups",\n', '    "apps.NAME",\n\\g<0>'),
    Registration("pyproject.toml", r'    "apps\.datasync",\n    "apps\.extraction",\n', '    "apps.NAME",\n\\g<0>'),
    Registration("pyproject.toml", r'    "apps\.datasync\.interface",\n\]\n\n', '    "apps.NAME.interface",\n\\g<0>'),
    Registration(
        "pyproject.toml", r'    "apps\.datasync\.interface",\n\]\nforbidden', '    "apps.NAME.interface",\n\\g<0>'
    ),
    Registration(
        "pyproject.toml", r'\[\[tool\.importlinter\.contracts\]\]\nname = "Only datasync sees.*\n', CONTRACT + "\\g<0>"
    ),
    Registration("docker-compose.yml", r' +"datasync": "http:', '     "NAME": "http://NAME:8101",\n\\g<0>'),
    Registration("docker-compose.yml", r"HOMES: .*", "\\g<0> NAME"),
    Registration("docker-compose.yml", r"events\.datasync\b", "events.NAME,\\g<0>"),
    Registration("docker-compose.yml", r"  datasync:\n    <<: \*lifted\n", PROFILE + "\\g<0>"),
    *(
        Registration(
            "migrations_playbook/docker-compose.migration.yml",
            rf'("postgres://lc_{role}:\S+@homes:5432/\w+")\}}',
            f'\\g<1>,\n     "NAME": "postgres://lc_{role}:${{{role.upper()}_PASSWORD}}@homes:5432/NAME"}}',
        )
        for role in ROLES
    ),
    *(
        Registration(".env.example", rf"(SERVICE_{engine}_PASSWORDS=.*)\}}", '\\g<1>, "NAME": "…"}')
        for engine in ("DATABASE", "VALKEY")
    ),
    Registration(
        "migrations_playbook/docker-compose.migration.yml", r"(?:  \w+: \*lifted\n)+", "\\g<0>  NAME: *lifted\n"
    ),
    Registration(
        "migrations_playbook/alerting/prometheus.yml",
        r" +- \{targets: \[datasync:.*\n",
        "      - {targets: [NAME:8101], labels: {lifted: NAME}}\n\\g<0>",
    ),
    Registration(
        "apps/README.md",
        r"\| \[`datasync`\].*\n",
        "| [`NAME`](NAME/README.md) | entries about contracts | bounded |\n\\g<0>",
    ),
    Registration(
        "migrations_playbook/decide.md",
        r"\| datasync \|.*\n",
        "| NAME | not measured yet | users | | **Not decided.** Count its calls first: `make bench` |\n\\g<0>",
    ),
    Registration(
        "migrations_playbook/decide.ru.md",
        r"\| datasync \|.*\n",
        "| NAME | ещё не измерено | пользователи | | **Не решено.** Сначала сосчитайте вызовы: `make bench` |\n\\g<0>",
    ),
    Registration(
        "tests/world.py",
        r"from apps\.workflow\.interface import .*\n",
        "from apps.NAME.interface import KEY\nfrom apps.NAME.testing import FakeCLASS\n\\g<0>",
    ),
    Registration(
        "tests/world.py", r' +"datasync": transport_to', '        "NAME": transport_to(KEY, FakeCLASS()),\n\\g<0>'
    ),
    Registration(
        "tests/pacts/uses.py",
        r"from apps\.workflow\.interface import .*\n",
        "from apps.NAME.interface import KEY\n\\g<0>",
    ),
    Registration("tests/pacts/uses.py", r"def deliver_all\(", USE + "\\g<0>"),
    Registration(
        "tests/pacts/uses.py", r" +\(states\.FINISHED, deliver_all\),\n", "    (states.DRAFT, record_in_NAME),\n\\g<0>"
    ),
    Registration(
        "tests/drills/lift.py", r' +"datasync": "sync",\n', '    "NAME": f"NAME?contract_id={UNKNOWN_ID}",\n\\g<0>'
    ),
    Registration("tests/drills/move_tables.py", r'    "notifications": \(\n', ROWS + "\\g<0>"),
    Registration(
        "tests/drills/readback.py",
        r'    "notifications": \(.*\n',
        '    "NAME": (Acknowledged("NAME_entry", "contract_id", "contract_id"),),\n\\g<0>',
    ),
)
