"""Metrics of several processes: sums are complete, ended processes' gauges go and their counts stay, and a server begins with an empty directory."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from landcontracts.embedded.processes import Processes, free_port, inner_url, wait_for_url
from tests.alerting.playbook import BASE
from tests.alerting.test_asked import values
from tests.moves.conftest import until

PROCESS = """
import os, sys
from apps.core.observability import multiprocess as shared
shared.join()
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
done, is_open, took = Counter("done", "x", ["who"]), Gauge("is_open", "x", multiprocess_mode="livemax"), Histogram("took", "x", buckets=(1, 10))
for line in sys.stdin:
    verb, _, number = line.strip().partition(" ")
    if verb == "count":
        done.labels("all").inc(float(number)); took.observe(float(number))
    elif verb == "set":
        is_open.set(float(number))
    elif verb == "fork" and not os.fork():
        is_open.set(float(number)); done.labels("all").inc(); os._exit(0)
    elif verb == "fork":
        os.wait()
    elif verb == "read":
        with shared.settled():
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
            sys.stdout.write(generate_latest(registry).decode())
    print(".", flush=True)
"""


class Process:
    """A process that executes the given counting commands, in a directory that others share."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROCESS],
            cwd=BASE,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def do(self, line: str) -> dict[str, float]:
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        output = ""
        while (answer := self._process.stdout.readline()) not in {".\n", ""}:
            output += answer
        assert answer, "it has ended"
        return values(output)

    def kill(self) -> None:
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    """Starts one more process."""
    started: list[Process] = []

    def one() -> Process:
        started.append(Process(tmp_path / "shared"))
        return started[-1]

    yield one
    for process in started:
        process.kill()


@pytest.fixture
def processes(start: Callable[[], Process]) -> list[Process]:
    started = [start() for _ in range(3)]
    for process in started:
        process.do("count 0")
    return started


def test_every_process_exports_the_sums_of_all(processes):
    for number, process in enumerate(processes, 1):
        process.do(f"count {number}")
    for process in processes:
        samples = process.do("read")
        assert samples['done_total{who="all"}'] == 6
        assert samples["took_count"] == 6
        assert samples["took_sum"] == 6


def test_counts_of_ended_processes_stay_and_their_gauges_go(processes, tmp_path: Path):
    first, second, third = processes
    second.do("count 5")
    second.do("set 1")
    third.do("set 0")
    assert first.do("read")["is_open"] == 1
    second.kill()
    samples = first.do("read")
    assert samples["is_open"] == 0
    assert (samples['done_total{who="all"}'], samples["took_sum"]) == (5, 5)
    assert list((tmp_path / "shared").glob(f"*{second.pid}*")) == []


def test_files_of_ended_processes_do_not_pile_up(processes, start, tmp_path: Path):
    reader = processes[0]
    for _ in range(5):
        short = start()
        short.do("count 2")
        short.kill()
    samples = reader.do("read")
    assert (samples['done_total{who="all"}'], samples["took_sum"], samples['took_bucket{le="10.0"}']) == (10, 10, 8)
    assert (
        len(list((tmp_path / "shared").glob("counter_*.db"))) == 4
    )  # three live ones, and one for all that have ended
    assert reader.do("read")['done_total{who="all"}'] == 10


def test_a_fork_of_a_process_is_one_of_its_own(processes):
    processes[0].do("set 0")
    processes[0].do("fork 7")
    samples = processes[1].do("read")
    assert samples["is_open"] == 0
    assert samples['done_total{who="all"}'] == 1


def test_a_server_that_starts_without_live_processes_begins_with_nothing(processes, start):
    processes[0].do("count 9")
    for process in processes:
        process.kill()
    assert start().do("read")["took_sum"] == 0


def test_a_process_stopped_while_it_held_the_directory_blocks_no_other_start(start, tmp_path: Path):
    import fcntl

    folder = tmp_path / "shared"
    folder.mkdir()
    with (folder / "directory.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start()
        process.do("count 1")
    assert process.do("read")['done_total{who="all"}'] == 1


def ours(text: str) -> float:
    return values(text).get('http_requests_total{service="platform",status="404"}', 0)


def two_workers(port: int) -> list[str]:
    command = [sys.executable, "-m", "landcontracts.server", "--bind", f"127.0.0.1:{port}"]
    return [*command, "--workers", "2", "--threads", "4"]


def test_two_workers_of_a_web_server_are_scraped_as_one(tmp_path: Path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    shared = tmp_path / "shared"
    running = Processes(tmp_path)

    def scrape() -> str:
        with urllib.request.urlopen(f"{inner_url(url)}/metrics") as answer:
            return answer.read().decode()

    def missed(times: int) -> None:
        for _ in range(times):
            with pytest.raises(urllib.error.HTTPError) as answer:
                urllib.request.urlopen(f"{url}/{uuid.uuid4()}/")
            answer.value.close()

    def workers() -> set[int]:
        return {int(re.findall(r"\d+", file.name)[0]) for file in shared.glob("*.alive")}

    try:
        process, log = running.start(
            "web", two_workers(port), cwd=BASE, env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(shared)}
        )
        wait_for_url(f"{url}/healthz", process, log)
        until(lambda: len(workers()) == 2)
        missed(20)
        assert [ours(scrape()) for _ in range(6)] == [20.0] * 6
        assert len(list(shared.glob("counter_*.db"))) == 2, "both have answered"
        killed = min(workers())
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(workers() - {killed}) == 2)
        wait_for_url(f"{url}/healthz", process, log)
        missed(5)
        assert [ours(scrape()) for _ in range(6)] == [25.0] * 6
        assert 'seam_outbox_oldest_seconds{service="contracts"}' in scrape()
    finally:
        running.stop_all()
