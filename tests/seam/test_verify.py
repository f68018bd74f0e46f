"""`manage.py verify_service`: the contract tests against any URL. Our lifted-out services hold; every failure is reported."""

import os
import re
import subprocess
import sys

import pytest

from apps.core import topology
from landcontracts.embedded.stack import BASE
from tests.seam.servers import Behaving, answer_of, forwarding, lifted, read_request

pytestmark = pytest.mark.slow


def verified(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "verify_service", *arguments],
        cwd=BASE,
        capture_output=True,
        text=True,
        check=False,
    )


def rows(output: str) -> dict[str, tuple[int, int, str]]:
    """Operation -> (wire checks, contract tests, verdict)."""
    lines = re.findall(r"^  (\w+) +(?:query|command) +(\d+) wire +(\d+) tests +(\w+)", output, re.MULTILINE)
    return {name: (int(wire), int(tests), verdict) for name, wire, tests, verdict in lines}


@pytest.mark.parametrize("service", topology.entries())
def test_a_service_of_ours_that_is_lifted_out_holds_in_every_operation(service: str):
    with lifted(service) as (url, _):
        done = verified(service, url)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = rows(done.stdout)
    assert set(verdicts) == set(topology.key_of(service).operations)
    assert all(wire >= 14 and tests >= 1 and verdict == "ok" for wire, tests, verdict in verdicts.values()), verdicts


def test_the_tests_of_our_own_code_say_nothing_of_a_service_elsewhere():
    """They work on this process's tables, from which the service's worker takes e-mails and events."""
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "apps/notifications/tests", "--collect-only", "-q"],
        cwd=BASE,
        env={**os.environ, "VERIFY_ELSEWHERE": '{"notifications": "http://127.0.0.1:9"}'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert collected.returncode == 0, collected.stdout
    assert "test_contract.py" in collected.stdout
    assert "test_mail.py" not in collected.stdout


def test_a_server_that_refuses_no_call_does_not_hold():
    """It refuses what is no JSON, and accepts everything else."""

    def agree(connection, _):
        while request := read_request(connection):
            broken = request.endswith(b"\r\n\r\n{")
            connection.sendall(answer_of(b"{}", "400 Bad Request") if broken else answer_of(b"{}"))

    with Behaving(agree) as server:
        done = verified("notifications", server.url, "--wire-only")
    assert done.returncode == 1
    assert {verdict for *_, verdict in rows(done.stdout).values()} == {"FAILED"}
    assert "no signature: answered 200 instead of 401" in done.stdout
    assert "6 of 6 operations of notifications do not hold" in done.stderr


def test_a_server_that_is_no_seam_is_recognised():
    def page(connection, _):
        while read_request(connection):
            connection.sendall(answer_of(b"<html>"))

    with Behaving(page) as server:
        done = verified("notifications", server.url, "--wire-only")
    assert done.returncode == 1
    assert "is it a seam" in done.stderr


def test_one_wrong_answer_is_reported_with_its_operation_and_test():
    """The real service, except for one answer."""
    with lifted("notifications") as (url, _):

        def miscount(connection, _):
            while request := read_request(connection):
                answer = forwarding(url, request)
                if b"/notifications/unread_count " in request and answer.startswith(b"HTTP/1.1 200"):
                    answer = answer_of(b"41")
                connection.sendall(answer)

        with Behaving(miscount) as server:
            done = verified("notifications", server.url)
    assert done.returncode == 1
    verdicts = rows(done.stdout)
    assert verdicts["unread_count"][2] == "FAILED"
    assert "assert 41 == 0" in done.stdout


def test_a_different_secret_is_reported_once():
    with Behaving(
        lambda connection, _: read_request(connection) and connection.sendall(answer_of(b"{}", "401 No"))
    ) as server:
        done = verified("notifications", server.url, "--wire-only")
    assert done.returncode == 1
    assert "the secret of monolith>notifications the same on both sides?" in done.stderr


def test_an_unreachable_and_an_invalid_address_are_reported_plainly():
    with Behaving(lambda *_: None) as server:
        url = server.url
    done = verified("notifications", url, "--wire-only")
    assert done.returncode == 1
    assert "nothing answers at" in done.stderr
    assert "is no address of a seam" in verified("notifications", "9000").stderr
    assert "Traceback" not in done.stderr
