"""The drill in its lighter form: a healthy rollout, two broken ones and a stopped judge. All cases are `make drill-canary`'s."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from landcontracts.embedded.processes import free_port
from landcontracts.embedded.stack import BASE
from tests.drills import canary_proxy
from tests.drills.canary import LIGHT_OUTPUT
from tests.drills.canary_cases import CASES, GROSS_SECONDS, Case
from tests.drills.canary_proxy import Fault, Proxy
from tests.drills.canary_report import wrong
from tests.drills.canary_traffic import TRAFFIC
from tests.drills.test_lift import ENGINES
from tests.seam.servers import Behaving, answer_of, read_request

pytestmark = pytest.mark.slow

TRAFFIC_OF = TRAFFIC["notifications"]
RIGHT = b'{"items":[],"unread":2,"next_cursor":null}'
OUTCOMES = {"healthy": "promoted", "errors-20": "rolled_back", "hanging": "rolled_back", "judge-stopped": "promoted"}


def test_canaries_of_healthy_services_are_promoted_and_of_broken_ones_rolled_back_without_a_failed_request():
    # A stack of its own: what it breaks and stops is not what other tests use.
    environment = {name: value for name, value in os.environ.items() if name not in ENGINES}
    done = subprocess.run(
        [sys.executable, "-m", "tests.drills.canary", "--light"],
        cwd=BASE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    cases = json.loads(LIGHT_OUTPUT.read_text())["cases"]
    assert {name: case["outcome"] for name, case in cases.items()} == OUTCOMES
    for name, case in cases.items():
        assert case["failed_requests"] == 0, name
        assert case["explanation"], name
        assert case["requests"] > 0, name
    for name in ("errors-20", "hanging"):
        assert 0 < cases[name]["seconds"] < GROSS_SECONDS, name
        assert cases[name]["canary_requests"] > 0, name
        assert sum(cases[name]["answered_at_home"].values()) > 0, name
    assert cases["judge-stopped"]["judged_age_seconds"] > 0


@pytest.fixture
def between():
    """A proxy before a server that always answers right."""

    def behave(connection: socket.socket, _: int) -> None:
        while read_request(connection):
            connection.sendall(answer_of(RIGHT))

    with Behaving(behave) as real, Proxy(f"http://127.0.0.1:{free_port()}", real.url, TRAFFIC_OF) as proxy:
        yield proxy


def answer_to_call(proxy: Proxy, method: str = "list", *, timeout: float = 10) -> bytes:
    """The answer to a call through the proxy; empty where the connection is closed."""
    with socket.create_connection(proxy.address, timeout=timeout) as connection:
        connection.sendall(
            b"POST /internal/seam/notifications/%s HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}" % method.encode()
        )
        try:
            return canary_proxy.receive(connection).raw
        except canary_proxy.Gone:
            return b""


def test_a_proxy_forwards_calls_without_a_fault_unchanged(between: Proxy):
    assert answer_to_call(between) == answer_of(RIGHT)
    between.break_with(Fault(canary_proxy.ERROR))
    assert answer_to_call(between, "describe") == answer_of(RIGHT)
    between.mend()
    assert answer_to_call(between) == answer_of(RIGHT)


@pytest.mark.parametrize(
    ("kind", "method", "expected"),
    [
        (canary_proxy.ERROR, "list", b"500 "),
        (canary_proxy.ERROR, "mark_all_read", b"500 "),
        (canary_proxy.WRONG, "list", b'"unread": 1000003'),
        (canary_proxy.WRONG, "mark_all_read", RIGHT),
        (canary_proxy.REFUSED, "mark_all_read", b"notification_not_found"),
        (canary_proxy.REFUSED, "list", RIGHT),
    ],
)
def test_each_fault_breaks_what_it_is_about_and_nothing_else(between: Proxy, kind: str, method: str, expected: bytes):
    between.break_with(Fault(kind))
    assert expected in answer_to_call(between, method)


def test_a_share_of_calls_is_broken(between: Proxy):
    between.break_with(Fault(canary_proxy.ERROR, share=0.3))
    broken = sum(b" 500 " in answer_to_call(between) for _ in range(200))
    assert 30 <= broken <= 90


def test_a_slow_answer_comes_late_and_a_hanging_one_never(between: Proxy):
    between.break_with(Fault(canary_proxy.SLOW, seconds=0.2))
    started = time.monotonic()
    assert answer_to_call(between) == answer_of(RIGHT)
    assert time.monotonic() - started >= 0.2
    between.break_with(Fault(canary_proxy.HANG))
    with pytest.raises(TimeoutError):
        answer_to_call(between, timeout=0.3)


def test_a_flapping_fault_comes_and_goes():
    fault = Fault(canary_proxy.ERROR, after_seconds=5, on_seconds=10, every_seconds=30)
    assert [fault.is_on(age) for age in (0, 4.9, 5, 14.9, 15.1, 34, 36, 44, 46)] == [
        *(False, False, True, True, False, False, True, True, False)
    ]


def measured(**changed):
    return {"outcome": "rolled_back", "failed_requests": 0, "seconds": 5.0, "last_away_seconds": 0.3, **changed}


def test_a_case_with_another_outcome_than_expected_is_reported():
    case = Case("x", "rolled_back", print, within=60)
    assert wrong(case, measured()) == []
    assert "promoted instead of rolled_back" in wrong(case, measured(outcome="promoted"))[0]
    assert "3 requests failed" in wrong(case, measured(failed_requests=3))[0]
    assert "60.5 s" in wrong(case, measured(seconds=60.5))[0]
    assert "answered away" in wrong(case, measured(last_away_seconds=9.0))[0]


def test_every_failure_that_the_drill_is_about_has_its_case():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {case.expected for case in CASES} == {"promoted", "rolled_back", "not_known", "awaiting"}
