"""Support for running as root: servers refuse root, so they run as an unprivileged user that can read their files.

The modes of parent folders are never changed. The data stay in a checkout that only root can enter; the server's
program is copied to a folder that all users can enter.
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
    """The user to run a server as, or None for the present one."""
    return UNPRIVILEGED if is_root() else None


def hand_over(folder: Path) -> None:
    """Change the owner of a folder and its content to the server user."""
    if not is_root():
        return
    entry = pwd.getpwnam(UNPRIVILEGED)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def reachable_copy(parts: list[Path], name: str) -> Path:
    """The folder that holds `parts`, or for root a copy of them that the server user can read.

    Copied once per version; an existing folder of another owner is never trusted.
    """
    if not is_root():
        return parts[0].parent
    target = Path(tempfile.gettempdir()) / f"landcontracts-{name}"
    completed = target / ".complete"
    if target.exists() and (_is_ours(target) and completed.exists()):
        return target
    try:
        target.mkdir(mode=0o755)  # fails where another user has created it, with any content
    except FileExistsError:
        target = Path(tempfile.mkdtemp(prefix=f"landcontracts-{name}-"))
        completed = target / ".complete"
    target.chmod(0o755)
    for part in parts:
        if part.exists():
            shutil.copytree(part, target / part.name, symlinks=True)
    completed.touch()
    return target


def _is_ours(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and not status.st_mode & 0o022
