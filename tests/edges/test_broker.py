"""What stands in Valkey is data: nothing in it runs, and nothing in it ends a worker."""

import json
import os
import pickle
import re
import sys
import time
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings
from django.core.cache import cache
from redis import Redis

from apps.core.database.cache import JsonSerializer
from landcontracts.embedded.processes import Processes
from landcontracts.embedded.stack import BASE
from tests.edges.servers import until

RAN = Path("/tmp/landcontracts-a-pickle-ran")


class Bomb:
    def __reduce__(self):
        return Path.touch, (RAN,)


@pytest.fixture
def valkey():
    client = Redis.from_url(settings.REDIS_URL)
    yield client
    client.close()


@pytest.mark.parametrize("value", [None, True, 0, -5, 10**20, 1.5, "текст", [1, "a", None], {"a": [{"b": 1}]}])
def test_values_come_back_as_they_were(value: object):
    cache.set("edges", value)
    assert cache.get("edges") == value


def test_the_server_counts():
    cache.set("edges", 1)
    assert (cache.incr("edges"), cache.get("edges")) == (2, 2)


@pytest.mark.parametrize("value", [{1, 2}.__class__, object(), Bomb()])
def test_what_json_cannot_hold_is_refused(value: object):
    with pytest.raises(TypeError):
        cache.set("edges", value)


@pytest.mark.parametrize(
    "stored", [pickle.dumps(Bomb()), b"", b"\x80\x04", b"{", b"\xff", b"[" * 100_000, b"1e999999999"]
)
def test_what_another_writes_is_nothing(valkey: Redis, stored: bytes):
    RAN.unlink(missing_ok=True)
    valkey.set(cache.make_key("edges"), stored)
    assert cache.get("edges") in {None, float("inf")}
    assert JsonSerializer().loads(stored) in {None, float("inf")}
    assert not RAN.exists()


def test_no_program_of_ours_unpickles():
    pattern = re.compile(r"\b(pickle|marshal|shelve|dill|cloudpickle)\b")
    for folder in ("apps", "landcontracts"):
        for file in (BASE / folder).rglob("*.py"):
            if "tests" not in file.parts and file.name != "cache.py":
                assert not pattern.search(file.read_text()), file
    assert settings.CACHES["default"]["OPTIONS"]["serializer"] == "apps.core.database.cache.JsonSerializer"
    assert settings.CACHES[settings.WAFFLE_CACHE_NAME]["BACKEND"].endswith("DummyCache")


GOOD = {
    "body": "W1tdLCB7fSwge31d",
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {"task": "core.purge", "id": "1", "lang": "py"},
    "properties": {
        "delivery_tag": "t",
        "delivery_info": {"exchange": "", "routing_key": "edges"},
        "delivery_mode": 2,
        "priority": 0,
        "body_encoding": "base64",
    },
}
BAD = [
    b"",
    b"garbage",
    b"\xff\xfe",
    b"{",
    b"[]",
    b"5",
    b"null",
    b"{}",
    b'"text"',
    b'{"properties": 5}',
    b'{"properties": {}}',
    b'{"body": "x", "properties": {"delivery_tag": null, "delivery_info": 5}}',
    json.dumps({**GOOD, "headers": 5}).encode(),
    json.dumps({**GOOD, "headers": {}}).encode(),
    json.dumps({**GOOD, "body": "!"}).encode(),
    json.dumps({**GOOD, "content-type": "application/x-python-serialize"}).encode(),
    json.dumps({**GOOD, "headers": {**GOOD["headers"], "task": ["x"]}}).encode(),
    json.dumps({**GOOD, "headers": {**GOOD["headers"], "task": "core.nothing"}}).encode(),
    b"[" * 50_000,
    pickle.dumps(Bomb()),
]


def test_no_message_ends_a_worker(valkey: Redis, tmp_path: Path):
    RAN.unlink(missing_ok=True)
    processes = Processes(tmp_path)
    queue = "edges"
    command = [str(Path(sys.executable).parent / "celery"), "-q", "-A", "landcontracts", "worker", "-P", "threads"]
    command += ["-c", "1", "-Q", queue, "-n", "edges@%h", "-l", "info", "--without-gossip", "--without-mingle"]
    try:
        valkey.delete(queue)
        process, log = processes.start("worker", command, env={**os.environ, "LOG_LEVEL": "DEBUG"}, cwd=BASE)
        for number, message in enumerate(BAD):
            valkey.lpush(queue, message)
            until(lambda: valkey.llen(queue) == 0, 60)
            assert process.poll() is None, (number, message[:60], log.read_text()[-2000:])
        done = {**GOOD, "headers": {**GOOD["headers"], "id": "last", "task": "core.purge"}}
        valkey.lpush(queue, json.dumps(done))
        until(lambda: "core.purge" in log.read_text(), 60)
        deadline = time.monotonic() + 2
        until(lambda: process.poll() is None and time.monotonic() > deadline)
    finally:
        processes.stop_all()
        valkey.delete(queue)
    assert not RAN.exists()


def test_what_is_no_message_among_the_unacknowledged_is_forgotten(valkey: Redis):
    with current_app.connection() as connection:
        channel = connection.default_channel
        index, held = channel.unacked_index_key, channel.unacked_key
        try:
            for number, message in enumerate(BAD):
                valkey.hset(held, f"bad-{number}", message)
                valkey.zadd(index, {f"bad-{number}": 1})
                channel.qos.restore_by_tag(f"bad-{number}")
                assert not valkey.hexists(held, f"bad-{number}")
                assert valkey.zscore(index, f"bad-{number}") is None
        finally:
            for number in range(len(BAD)):
                valkey.hdel(held, f"bad-{number}")
                valkey.zrem(index, f"bad-{number}")
