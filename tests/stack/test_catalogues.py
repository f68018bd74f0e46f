"""Both catalogues are complete, keep their placeholders, and are compiled."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest

BASE = Path(__file__).resolve().parent.parent.parent
PLACE = re.compile(r"\{\w*\}|%\(\w+\)[sd]")


@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_message_is_translated_with_its_places(language: str):
    catalogue = polib.pofile(str(BASE / f"locale/{language}/LC_MESSAGES/django.po"))
    assert [entry.msgid for entry in catalogue if not entry.translated()] == []
    for entry in catalogue:
        if not entry.msgid_plural:
            assert sorted(PLACE.findall(entry.msgid)) == sorted(PLACE.findall(entry.msgstr)), entry.msgid


@pytest.mark.parametrize("language", ["ru", "en"])
def test_the_compiled_catalogue_is_current(language: str):
    folder = BASE / f"locale/{language}/LC_MESSAGES"
    source = polib.pofile(str(folder / "django.po"))
    compiled = polib.mofile(str(folder / "django.mo"))
    assert {entry.msgid: entry.msgstr for entry in source} == {entry.msgid: entry.msgstr for entry in compiled}


@pytest.mark.skipif(shutil.which("xgettext") is None, reason="needs Debian's gettext")
def test_every_marked_message_is_in_the_catalogues(tmp_path: Path):
    copied = tmp_path / "tree"
    ignore = shutil.ignore_patterns(".venv", ".tools", "var", "build", ".git", "__pycache__", "tests")
    shutil.copytree(BASE, copied, ignore=ignore)
    before = {entry.msgid for entry in polib.pofile(str(copied / "locale/ru/LC_MESSAGES/django.po"))}
    command = [sys.executable, "manage.py", "makemessages", "-l", "ru", "--no-location", "--no-obsolete"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # no other run reads what is compiled of this copy
    subprocess.run(command, cwd=copied, check=True, capture_output=True, env=environment)
    after = {entry.msgid for entry in polib.pofile(str(copied / "locale/ru/LC_MESSAGES/django.po"))}
    assert after - before == set(), "run `make messages` and translate"
