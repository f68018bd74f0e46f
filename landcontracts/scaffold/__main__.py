"""`python -m landcontracts.scaffold surveys --title Surveys --title-ru Обследования`: a new bounded app."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from django.core.management.commands.startapp import Command as StartApp

from landcontracts.scaffold import names
from landcontracts.scaffold.registrations import App, register

BASE = Path(__file__).resolve().parent.parent.parent
TEMPLATES = Path(__file__).with_name("app")
README = "README.md-tpl"


def main() -> int:
    """Check the name, register the app, render its files. The exit status: 2 when nothing was made."""
    parser = argparse.ArgumentParser(prog="python -m landcontracts.scaffold")
    parser.add_argument("name", help="small letters, as in `surveys`")
    parser.add_argument("--title", default="", help="in English; by default the name")
    parser.add_argument("--title-ru", default="", help="in Russian; by default the English one")
    options = parser.parse_args()
    title = options.title or options.name.capitalize()
    app = App(options.name, title, options.title_ru or title)
    try:
        names.check(app.name, BASE)
        for text in (app.title, app.title_ru):
            names.check_title(text)
    except names.NameNotUsable as error:
        print(error, file=sys.stderr)
        return 2
    if shutil.which("xgettext") is None:
        print("Debian's package gettext is needed, for the catalogues", file=sys.stderr)
        return 2
    changed = register(app, BASE)
    _render(app, BASE / "apps" / app.name)
    if not options.title_ru:
        print(f"  The Russian catalogue says {app.title!r} until it is translated: TITLE_RU=…, or locale/ru")
    print(f"  apps/{app.name}; registered in {', '.join(changed)}")
    return 0


def _render(app: App, folder: Path) -> None:
    folder.mkdir()
    StartApp().handle(
        name=app.name,
        directory=str(folder),
        template=str(TEMPLATES),
        extensions=["py"],
        files=[README],
        exclude=None,
        verbosity=0,
        title=app.title,
        key=app.name.upper(),
    )
    (folder / README).rename(folder / "README.md")


if __name__ == "__main__":
    sys.exit(main())
