"""`python -m tests.mutants.run_tests APP`: the narrow tests of a target against the code in this tree. The exit status is pytest's.

First those that run in this process; then, if nothing was noticed, those that want a web server, started here from this very tree.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from landcontracts.embedded.processes import Processes, StartFailed, free_port, wait_for_url
from tests.mutants.targets import TARGETS

PYTEST = (sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--timeout=60")
# The other sides of a contract test answer from a server, which runs the code as it was.
IN_PROCESS = ("-k", "not http and not fake", "-m", "not slow")


def main(app: str) -> int:
    """Run them."""
    target = TARGETS[app]
    if status := subprocess.run([*PYTEST, *IN_PROCESS, *target.tests], check=False).returncode:
        return status
    if not target.served:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(Path(folder))
        try:
            url = f"http://127.0.0.1:{free_port()}"
            command = [
                *(str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--host", "127.0.0.1"),
                *("--port", url.rpartition(":")[2], "--workers", "1", "--blocking-threads", "8", "--no-ws"),
                "landcontracts.wsgi:application",
            ]
            wait_for_url(f"{url}/readyz", *processes.start("web", command, cwd=Path.cwd()), seconds=20)
            environment = {**os.environ, "WEB_URL": url}
            return subprocess.run([*PYTEST, "-m", "not slow", *target.served], env=environment, check=False).returncode
        except StartFailed:
            return 1
        finally:
            processes.stop_all()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
