"""`python -m landcontracts.embedded run | demo | exec -- COMMAND | attach -- COMMAND | names SERVICE`: the Makefile's stack."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

from landcontracts.embedded import gateway, names
from landcontracts.embedded.processes import StartFailed, inner_url
from landcontracts.embedded.stack import BASE, ENVIRONMENT, Stack, is_running
from landcontracts.topology import SERVICES

ENGINES = ("postgres", "postgres-homes", "valkey", "s3")
# A process that ends so often in so short a time cannot run.
MAX_ENDS, ENDS_WITHIN_SECONDS = 5, 60


def main() -> int:
    """Parse the arguments and run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="landcontracts.embedded")
    actions = parser.add_subparsers(dest="verb", required=True)
    running = actions.add_parser("run", help="the whole stack until Ctrl-C")
    running.add_argument("--port", type=int, default=8000)
    running.add_argument("--lifted", default="", help="services to run as separate processes, comma-separated")
    running.add_argument("--gateway", type=int, default=None, metavar="PORT", help="Envoy in front, on this port")
    actions.add_parser("demo", help="play one sale and stop")
    executing = actions.add_parser("exec", help="run a command with the engines")
    executing.add_argument("--name", default="test")
    executing.add_argument(
        "--stacks", type=int, default=1, help="number of stacks: the command's is NAME, the others NAME-2 and on"
    )
    executing.add_argument("--web", action="store_true", help="start the web server too; its address is in WEB_URL")
    executing.add_argument("--port", type=int, default=0, help="of the web server")
    executing.add_argument("command", nargs=argparse.REMAINDER)
    attaching = actions.add_parser("attach", help="run a command with a stack that is already running")
    attaching.add_argument("--name", default="run")
    attaching.add_argument("command", nargs=argparse.REMAINDER)
    naming = actions.add_parser("names", help='what the playbook\'s pages name, for a shell: eval "$(… names SERVICE)"')
    naming.add_argument("--name", default=os.environ.get("STACK_NAME", "run"))
    naming.add_argument("service", choices=tuple(SERVICES))
    arguments = parser.parse_args()
    # SIGTERM stops the servers as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell would ignore it
    try:
        if arguments.verb == "run":
            lifted = [name for name in arguments.lifted.replace(",", " ").split() if name]
            return run(arguments.port, lifted, gateway_port=arguments.gateway)
        if arguments.verb == "demo":
            return demo()
        if arguments.verb == "names":
            print(names.assignments(arguments.service, _environment_of(arguments.name), BASE / "var" / arguments.name))
            return 0
        command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
        if arguments.verb == "attach":
            return attach(arguments.name, command)
        return execute(arguments.name, command, web=arguments.web, port=arguments.port, stacks=arguments.stacks)
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


def run(port: int, lifted: list[str], *, gateway_port: int | None = None) -> int:
    """Run the whole stack with demo people and sales until Ctrl-C. Raises: StartFailed for an unknown service."""
    from landcontracts.demo import story

    if unknown := [name for name in lifted if name not in SERVICES]:
        raise StartFailed(f"there is no service {', '.join(unknown)}; there are {', '.join(SERVICES)}")
    print("Starting the stack (data is kept in var/run)")
    with Stack("run", fresh=False, durable=True) as stack:
        with stack.step("Web server"):
            url = stack.start_web(preferred_port=port)
        if not url.endswith(f":{port}") and port:
            print(f"  Port {port} is taken: the pages are at {url}/")
        with stack.step("Worker"):
            worker = stack.start_worker(without=lifted)
        for service in lifted:
            with stack.step(f"{service} in its own process"):
                stack.start_lifted(service, url)
        for service in SERVICES:
            share = "100" if service in lifted else "0"
            stack.manage("extraction", service, "remote", share, "--reason=make run")
        with stack.step("Demo people and sales"):
            account = story.make_administrator(stack)
            people = story.furnish(url, account, stack.folder)
        if gateway_port is not None:
            with stack.step("Gateway"):
                gateway_url, _ = gateway.start(stack.processes, stack.folder, url, port=gateway_port)
            print(f"\n  Gateway   {gateway_url}/")
        print(f"\n  Pages     {url}/\n  API docs  {url}/api/v1/docs\n  Admin     {url}/admin/")
        print(f"  Metrics   {inner_url(url)}/metrics and {worker}\n")
        for service in lifted:
            print(f"  {service:<9} {stack.away[service]}/api/v1/schema")
        print(f"  The password of all people is {account.password}")
        for words, email in people:
            print(f"    {words:<14} {email}")
        print("\n  Demo signing keys and certificates: var/run/certificates/\n  Ctrl-C stops everything.", flush=True)
        _watch(stack)
    return 0


def _watch(stack: Stack) -> None:
    """Wait until Ctrl-C. A process of the platform that ends is started again; an engine's end stops the stack.

    A lifted-out service that cannot run is left alone: its calls are answered locally. Raises: StartFailed.
    """
    stopped = threading.Event()
    ends: dict[str, list[float]] = {}
    left_alone: set[str] = set()
    while not stopped.wait(1):
        for name in set(stack.processes.ended()) - left_alone:
            log = f"var/run/logs/{name}.log"
            now = time.monotonic()
            ends[name] = [at for at in ends.get(name, []) if now - at < ENDS_WITHIN_SECONDS] + [now]
            cannot_run = len(ends[name]) >= MAX_ENDS
            if name in ENGINES or (cannot_run and name not in SERVICES):
                raise StartFailed(f"{name} has ended; see {log}")
            again = f"{MAX_ENDS} times and is not started again" if cannot_run else "and is started again"
            locally = "; meanwhile its calls are answered locally" if name in SERVICES else ""
            print(f"  {name} has ended {again}{locally} ({log})", flush=True)
            if cannot_run:
                left_alone.add(name)
            else:
                stack.processes.start_again(name)


def execute(name: str, command: list[str], *, web: bool, port: int, stacks: int) -> int:
    """Run a command with the engines of a temporary stack; `attach` gives access to further stacks."""
    all_names = [name, *(f"{name}-{number}" for number in range(2, stacks + 1))]
    with ExitStack() as started:
        running = [started.enter_context(_temporary(stack_name)) for stack_name in all_names]
        if web:
            for stack in running:
                stack.env["WEB_URL"] = stack.start_web(preferred_port=port if stack is running[0] else 0)
        return subprocess.run(command, env=running[0].env, cwd=BASE, check=False).returncode


def _temporary(name: str) -> Stack:
    return Stack(name, fresh=True, durable=False, quiet=bool(os.environ.get("QUIET")))


def attach(name: str, command: list[str]) -> int:
    """Run a command with the environment of a running stack. Raises: StartFailed when none is running."""
    environment = {**os.environ, **_environment_of(name), "STACK_NAME": name}
    return subprocess.run(command, env=environment, cwd=BASE, check=False).returncode


def _environment_of(name: str) -> dict[str, str]:
    """The environment that a running stack's commands have. Raises: StartFailed when none is running."""
    file = BASE / "var" / name / ENVIRONMENT
    if not is_running(name) or not file.exists():
        raise StartFailed("no stack is running here: `make run` first, in another terminal")
    environment: dict[str, str] = json.loads(file.read_text())
    return environment


if __name__ == "__main__":
    sys.exit(main())
