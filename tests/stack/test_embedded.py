"""The embedded stack: one at a time on the same data, no trust in files that others left in a shared folder, no readable secret."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from landcontracts.embedded import __main__ as embedded
from landcontracts.embedded import guard, ownership, secrets
from landcontracts.embedded import processes as processes_module
from landcontracts.embedded.processes import Processes, StartFailed
from landcontracts.embedded.stack import Stack


def test_secrets_are_made_once_and_read_by_their_owner_only(tmp_path: Path):
    first = secrets.load(tmp_path)
    assert secrets.load(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert len(set(first.values())) == len(first)


def test_a_planted_folder_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ownership, "is_root", lambda: True)
    source = tmp_path / "wheel" / "part"
    source.mkdir(parents=True)
    (source / "server").write_text("the real one")
    planted = tmp_path / "landcontracts-x"
    planted.symlink_to(tmp_path / "elsewhere")
    copy = ownership.reachable_copy([source], "x")
    assert copy != planted
    assert (copy / "part" / "server").read_text() == "the real one"


def test_two_stacks_do_not_share_data():
    with Stack("test-lock", fresh=True, durable=False, quiet=True) as first:
        assert first.env["DATABASE_URL"]
        with pytest.raises(StartFailed, match="another process uses"), Stack("test-lock", fresh=False, durable=False):
            pass


def test_processes_of_a_killed_run_are_ended_at_the_next_start(tmp_path: Path):
    first = Processes(tmp_path)
    process, _ = first.start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
    assert process.poll() is None
    Processes(tmp_path)  # the first one never stopped anything
    assert process.wait(20) == -signal.SIGTERM


def test_the_application_owns_no_table_and_is_no_superuser():
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        owned = connection.execute("SELECT count(*) FROM pg_tables WHERE tableowner = current_user").fetchone()
        special = connection.execute(
            "SELECT rolsuper, rolreplication, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )
        assert owned == (0,)
        assert special.fetchone() == (False, False, False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE contracts_contract")


def test_a_stack_that_cannot_start_says_why(tmp_path: Path):
    processes = Processes(tmp_path)
    process, log = processes.start("broken", [sys.executable, "-c", "raise SystemExit('no such engine')"])
    process.wait(20)
    from landcontracts.embedded.processes import wait_for_port

    with pytest.raises(StartFailed, match="no such engine"):
        wait_for_port(1, process, log, seconds=5)


def test_another_process_with_the_recorded_pid_is_left_alone(tmp_path: Path):
    """After a restart of the machine pids repeat; the start of the process tells them apart."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as other:
        guard.finish(guard.stop([(other.pid, "1", signal.SIGTERM)]), grace_seconds=0)
        assert other.poll() is None
        other.communicate(b"\n", timeout=20)
        assert other.returncode == 0


def test_a_record_that_is_damaged_or_of_another_run_ends_nothing(tmp_path: Path):
    record = tmp_path / "pids.json"
    guard.write_record(record, "one", [(os.getpid(), int(signal.SIGTERM))])
    assert guard.recorded(record, "one")[0][0] == os.getpid()
    assert guard.recorded(record, "another") == []
    record.write_text("{")
    assert guard.recorded(record) == []


def test_a_process_that_ended_is_started_again_and_its_log_goes_on(tmp_path: Path):
    processes = Processes(tmp_path)
    try:
        first, log = processes.start("brief", [sys.executable, "-c", "import os; print(os.getpid())"], cwd=tmp_path)
        first.wait(20)
        assert processes.ended() == ["brief"]
        processes.start_again("brief")
        (second,) = [process for name, process, _ in processes._running if name == "brief"]
        second.wait(20)
        assert log.read_text().split() == [str(first.pid), str(second.pid)]
    finally:
        processes.stop_all()


class RunningStack:
    """A stack of which processes end, one after another."""

    def __init__(self, *ends: str) -> None:
        self.ends, self.started = list(ends), []
        self.processes = self

    def ended(self) -> list[str]:
        if not self.ends:
            raise KeyboardInterrupt
        return [self.ends.pop(0)]

    def start_again(self, name: str) -> None:
        self.started.append(name)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.threading.Event, "wait", lambda *_: False)


@pytest.mark.usefixtures("at_once")
def test_a_run_starts_again_what_is_no_engine(capsys: pytest.CaptureFixture[str]):
    stack = RunningStack("web", "worker", "documents", "web")
    with pytest.raises(KeyboardInterrupt):
        embedded._watch(stack)
    assert stack.started == ["web", "worker", "documents", "web"]
    printed = capsys.readouterr().out
    assert "web has ended and is started again (var/run/logs/web.log)" in printed
    assert "documents has ended and is started again; meanwhile its calls are answered locally" in printed


@pytest.mark.usefixtures("at_once")
def test_a_lifted_out_service_that_cannot_run_is_left_alone(capsys: pytest.CaptureFixture[str]):
    stack = RunningStack(*["documents"] * 7, "web")
    with pytest.raises(KeyboardInterrupt):
        embedded._watch(stack)
    assert stack.started == [*["documents"] * 4, "web"]
    printed = capsys.readouterr().out
    assert printed.count("documents has ended 5 times and is not started again; meanwhile its calls") == 1


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("ends", [("postgres",), ("valkey",), ("web",) * 5])
def test_a_run_ends_with_an_engine_and_with_what_cannot_run(ends: tuple[str, ...]):
    stack = RunningStack(*ends)
    with pytest.raises(StartFailed, match=f"{ends[0]} has ended; see var/run/logs/{ends[0]}.log"):
        embedded._watch(stack)
    assert len(stack.started) == len(ends) - 1


def test_a_process_that_takes_long_to_start_is_waited_for_with_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes_module, "SAY_EACH_SECONDS", 0.2)
    processes, said = Processes(tmp_path), []
    port = processes_module.free_port()
    late = f"import time, http.server as s; time.sleep(1); s.test(s.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')"
    try:
        process, log = processes.start("late", [sys.executable, "-c", late], cwd=tmp_path)
        processes_module.wait_for_url(f"http://127.0.0.1:{port}/", process, log, say=said.append)
    finally:
        processes.stop_all()
    assert said
    assert said[0].startswith("still starting after")
    assert str(log) in said[0]
