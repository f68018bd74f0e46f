"""Running as root: servers refuse root, so they run as an unprivileged user that can enter their files.

The modes of parent folders are never changed. A checkout that only root can enter keeps the data; the server's program is
copied to a place that everyone can enter.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

UNPRIVILEGED = "nobody"


def is_root() -> bool:
    """Whether this process runs as root."""
    return os.geteuid() == 0


def server_user() -> str | None:
    """The user to run a server as, or None to stay who we are."""
    return UNPRIVILEGED if is_root() else None


def hand_over(folder: Path) -> None:
    """Make a folder and all in it the server user's."""
    if not is_root():
        return
    entry = pwd.getpwnam(UNPRIVILEGED)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def reachable_copy(parts: list[Path], name: str) -> Path:
    """The folder that holds `parts`, or for root a copy of them that the server user can read.

    Made once per version; a folder there that is not ours is never trusted.
    """
    if not is_root():
        return parts[0].parent
    target = Path(tempfile.gettempdir()) / f"landcontracts-{name}"
    done = target / ".complete"
    if target.exists() and (_is_ours(target) and done.exists()):
        return target
    try:
        target.mkdir(mode=0o755)  # fails where somebody was quicker, whatever they put there
    except FileExistsError:
        target = Path(tempfile.mkdtemp(prefix=f"landcontracts-{name}-"))
        done = target / ".complete"
    target.chmod(0o755)
    for part in parts:
        if part.exists():
            shutil.copytree(part, target / part.name, symlinks=True)
    done.touch()
    return target


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022
