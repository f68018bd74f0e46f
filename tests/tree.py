"""A copy of the tree as git knows it, changed files included: to be changed by a test without harm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from landcontracts.embedded.stack import BASE


def copy_tree(folder: Path) -> None:
    """Copy every file that is, or would be, under version control into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=BASE,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    for name in filter(None, listed):
        if (BASE / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(BASE / name, folder / name)
