"""Types a page's commands into a shell, and records how long each took."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping

from landcontracts.embedded.names import DECIDED
from landcontracts.embedded.stack import BASE
from tests.playbook.pages import FOLDER, commands, missing

SECONDS = 90
# What a page's first command sets.
NAMES = ("SERVICE", "ADDRESS", "BIND", "PLATFORM", "LOGS", *DECIDED)
OUTPUT = BASE / "build" / "playbook.json"


class WrongPage(AssertionError):
    """A command of a page fails, or its output is not the expected one."""


class Shell:
    """One environment. Each command has a shell of its own, with the names that earlier commands of its page have set."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.names: dict[str, str] = {}
        self.took: dict[str, dict[str, float]] = {}

    def page(self, name: str, after: Mapping[str, Callable[[], None]]) -> None:
        """Type every command of a page, in order; after one with the words of `after`, do the step outside the shell. Raises: WrongPage."""
        self.names = {}  # a page sets what it names
        took = self.took.setdefault(name, {})
        for command in commands(FOLDER / f"{name}.md"):
            began = time.monotonic()
            output = self.type(command.text, where=f"{name}.md:{command.line}")
            if wanted := missing(command.expected, output, self.names):
                raise WrongPage(f"{name}.md:{command.line}: {command.text}\n  does not print {wanted!r}, but\n{output}")
            for words, do in after.items():
                if words in command.text:
                    do()
            took[f"{command.line}: {command.text[:100]}"] = round(time.monotonic() - began, 1)

    def type(self, text: str, *, where: str = "") -> str:
        """Type one command; its output. Raises: WrongPage where it fails or does not end."""
        if text.startswith("eval "):
            text += f"; for name in {' '.join(NAMES)}; do printf '%s=%s\\0' $name \"${{!name}}\"; done"
        known = "".join(f"{name}={shlex.quote(value)}\n" for name, value in self.names.items())
        process = subprocess.Popen(
            ["bash", "-uc", known + text],
            cwd=BASE,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise WrongPage(f"{where}: {text}\n  does not end; it printed\n{output[-3000:]}") from None
        if process.returncode:
            raise WrongPage(f"{where}: {text}\n  ends with {process.returncode}:\n{output[-3000:]}")
        if text.startswith("eval "):
            self.names |= dict(pair.split("=", 1) for pair in output.split("\0") if pair)
            return ""
        return output

    def write(self) -> None:
        """Write how long each command took, in seconds."""
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text(json.dumps(self.took, ensure_ascii=False, indent=2) + "\n")
