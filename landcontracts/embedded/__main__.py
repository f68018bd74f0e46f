"""`python -m landcontracts.embedded run | demo | exec -- COMMAND`: the stack for the Makefile's targets."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading

from landcontracts.embedded.processes import StartFailed
from landcontracts.embedded.stack import BASE, Stack


def main() -> int:
    """Parse, run, and give the exit status."""
    parser = argparse.ArgumentParser(prog="landcontracts.embedded")
    verbs = parser.add_subparsers(dest="verb", required=True)
    running = verbs.add_parser("run", help="the whole stack until Ctrl-C")
    running.add_argument("--port", type=int, default=8000)
    verbs.add_parser("demo", help="play one sale and stop")
    executing = verbs.add_parser("exec", help="run a command with the engines")
    executing.add_argument("--name", default="test")
    executing.add_argument("--web", action="store_true", help="start the web server too; its address is in WEB_URL")
    executing.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    # A terminated run stops its servers as a Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us in the background ignores it
    try:
        if arguments.verb == "run":
            return run(arguments.port)
        if arguments.verb == "demo":
            return demo()
        return execute(arguments.name, [part for part in arguments.command if part != "--"], web=arguments.web)
    except StartFailed as error:
        print(f"\nThe stack did not start: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


def demo() -> int:
    """Start everything, play the sale, stop everything."""
    from landcontracts.demo import story

    print("Starting the stack")
    with Stack("demo", fresh=True, durable=False) as stack:
        stack.env |= {"PROMETHEUS_DISABLE_CREATED_SERIES": "true"}
        with stack.step("Web server"):
            url = stack.start_web()
        with stack.step("Worker"):
            stack.start_worker()
        account = story.make_administrator(stack)
        return story.play(url, account, BASE / "build" / "demo.json")


def run(port: int) -> int:
    """The whole stack with demo people and sales in it, until Ctrl-C."""
    from landcontracts.demo import story

    print("Starting the stack (data is kept in var/run)")
    with Stack("run", fresh=False, durable=True) as stack:
        with stack.step("Web server"):
            url = stack.start_web(preferred_port=port)
        with stack.step("Worker"):
            stack.start_worker()
        with stack.step("Demo people and sales"):
            account = story.make_administrator(stack)
            people = story.furnish(url, account, stack.folder)
        print(f"\n  Pages     {url}/\n  API docs  {url}/api/v1/docs\n  Admin     {url}/admin/\n")
        print(f"  Everyone's password is {account.password}")
        for words, email in people:
            print(f"    {words:<14} {email}")
        print("\n  Demo signing keys and certificates: var/run/certificates/\n  Ctrl-C stops everything.", flush=True)
        stopped = threading.Event()
        while not stopped.wait(1):
            if (name := stack.processes.failed()) is not None:
                raise StartFailed(f"{name} has ended; see var/run/logs/{name}.log")
    return 0


def execute(name: str, command: list[str], *, web: bool) -> int:
    """Run a command with the engines of a throw-away stack."""
    with Stack(name, fresh=True, durable=False, quiet=bool(os.environ.get("QUIET"))) as stack:
        if web:
            stack.env["WEB_URL"] = stack.start_web()
        return subprocess.run(command, env=stack.env, cwd=BASE, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
