"""Sources of a scrape never make it slow or fail: an unreachable source is absent, and reported as down."""

import contextlib
import os
import threading
import time
import urllib.request
from collections.abc import Iterator

import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from apps.core.monitoring.outbox import OutboxCollector
from apps.core.monitoring.queues import QueueCollector
from apps.core.monitoring.servers import ServerCollector, servers
from apps.core.observability.scrape_registry import ScrapeRegistry
from apps.core.postgres import connections as control_connections
from apps.extraction.state import stages
from apps.extraction.state.metrics import MoveCollector
from landcontracts.embedded.processes import free_port, inner_url
from tests.moves.conftest import until


def values(exposition: bytes | str) -> dict[str, float]:
    """Sample values by name and labels."""
    text = exposition if isinstance(exposition, str) else exposition.decode()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[:1] != "#"}


class Known:
    def __init__(self, name: str = "known_thing", label: str = "a") -> None:
        self.name, self.label = name, label
        self.collections = 0

    def collect(self):
        self.collections += 1
        family = GaugeMetricFamily(self.name, "What is known", labels=["of"])
        family.add_metric([self.label], 1)
        yield family


class Failing:
    def collect(self):
        yield GaugeMetricFamily("half_a_thing", "A sample from before the failure", value=3)
        raise psycopg.OperationalError("down")


class Hanging(Known):
    def __init__(self) -> None:
        super().__init__("hanging_thing")
        self.go_on = threading.Event()

    def collect(self):
        yield from super().collect()
        self.go_on.wait(30)


def test_a_hanging_source_delays_no_other_and_is_not_collected_twice_at_once():
    scraped, hanging = ScrapeRegistry(patience_seconds=0.2), Hanging()
    scraped.register(hanging)
    scraped.register(Known())
    for _ in range(3):
        started = time.monotonic()
        samples = values(scraped.exposition())
        assert time.monotonic() - started < 2
        assert samples['known_thing{of="a"}'] == 1
        assert samples['metrics_source_up{source="known"}'] == 1
        assert samples['metrics_source_up{source="hanging"}'] == 0
        assert 'hanging_thing{of="a"}' not in samples
    assert hanging.collections == 1
    hanging.go_on.set()
    assert until(lambda: values(scraped.exposition()).get('hanging_thing{of="a"}')) == 1
    assert values(scraped.exposition())['metrics_source_up{source="hanging"}'] == 1


def test_samples_from_before_a_failure_are_exported():
    scraped = ScrapeRegistry()
    scraped.register(Failing(), "half")
    samples = values(scraped.exposition())
    assert samples["half_a_thing"] == 3
    assert samples['metrics_source_up{source="half"}'] == 0


def test_two_sources_of_one_family_are_one_family_and_two_scrapes_at_once_are_the_same():
    scraped = ScrapeRegistry()
    scraped.register(Known(label="a"), "one")
    scraped.register(Known(label="b"), "two")
    expositions: list[bytes] = []
    threads = [threading.Thread(target=lambda: expositions.append(scraped.exposition())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(expositions) == 8
    for one in expositions:
        assert one.count(b"# TYPE known_thing gauge") == 1
        assert one.count(b"\nknown_thing{") == 2
        list(text_string_to_metric_families(one.decode()))


def test_a_fork_asks_anew():
    scraped, hanging = ScrapeRegistry(patience_seconds=0.2), Hanging()
    scraped.register(hanging)
    scraped.exposition()
    reading, writing = os.pipe()
    if not (child := os.fork()):
        hanging.go_on = threading.Event()
        hanging.go_on.set()
        os.write(writing, scraped.exposition())
        os._exit(0)
    os.close(writing)
    assert os.waitpid(child, 0)[1] == 0
    with os.fdopen(reading, "rb") as pipe:
        assert values(pipe.read())['metrics_source_up{source="hanging"}'] == 1
    hanging.go_on.set()


def collected(collector) -> dict[str, float]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return values(generate_latest(registry))


@pytest.fixture
def moves() -> Iterator[MoveCollector]:
    with contextlib.closing(MoveCollector()) as collector:
        yield collector


@pytest.fixture
def server() -> Iterator[tuple[str, str, ServerCollector]]:
    """The first server's address, the alias of a database there, and its collector."""
    (name, alias), *_ = servers().items()
    with contextlib.closing(ServerCollector(name, alias)) as collector:
        yield name, alias, collector


def test_an_unreachable_database_is_reported_as_down(settings):
    port = free_port()
    settings.CONTROL_URLS = dict.fromkeys(settings.CONTROL_URLS, f"postgres://unknown:x@127.0.0.1:{port}/x")
    scraped = ScrapeRegistry()
    scraped.register(ServerCollector(*next(iter(servers().items()))), "server")
    scraped.register(MoveCollector(), "moves")
    scraped.register(OutboxCollector("default"), "outbox")
    samples = values(scraped.exposition())
    assert samples['metrics_source_up{source="server"}'] == 0
    assert samples['metrics_source_up{source="moves"}'] == 0
    assert (
        samples['extraction_stage{service="datasync",stage="in_process"}'] == 1
    )  # its data are never relocated: no database has to be queried
    assert 'extraction_stage{service="contracts",stage="in_process"}' not in samples
    assert samples['seam_outbox_oldest_seconds{service="contracts"}'] >= 0


def test_an_unreachable_broker_is_reported_as_down(settings):
    settings.CELERY_BROKER_URL = f"redis://:secret@127.0.0.1:{free_port()}/0"
    scraped = ScrapeRegistry()
    scraped.register(QueueCollector(), "queues")
    text = scraped.exposition()
    assert values(text)['metrics_source_up{source="queues"}'] == 0
    assert b"secret" not in text


def test_a_connection_that_was_ended_is_made_anew(server):
    _, alias, collector = server
    assert list(collector.collect())
    with control_connections.control(alias) as control:
        control.execute("SELECT pg_terminate_backend(%s)", [collector._connection.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        list(collector.collect())
    assert list(collector.collect())


def test_a_scrape_of_the_stack_with_everything_in_it_is_quick():
    url = f"{inner_url(os.environ['WEB_URL'])}/metrics"

    def seconds() -> float:
        started = time.perf_counter()
        text = urllib.request.urlopen(url).read().decode()
        spent = time.perf_counter() - started
        assert 'extraction_stage{service="contracts"' in text
        return spent

    until(
        lambda: (
            b"} 0.0"
            not in b"".join(line for line in urllib.request.urlopen(url) if line.startswith(b"metrics_source_up"))
        )
    )
    assert until(lambda: seconds() < 0.1)  # asked again while the machine is busy with something else


def test_waiting_events_are_counted_where_no_relay_runs():
    from django.db import connections

    def age_and_count() -> tuple[float, float]:
        samples = collected(OutboxCollector("default"))
        return samples['seam_outbox_oldest_seconds{service="contracts"}'], samples[
            'seam_outbox_waiting_events{service="contracts"}'
        ]

    before = age_and_count()
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO contracts_outbox (id, event_id, consumer, type, aggregate_id, sequence, payload, request_id, trace, occurred_at)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), 'unknown', 'contracts.test', gen_random_uuid(), 1, '', '', '',"
            " clock_timestamp() - interval '1 hour') RETURNING id"
        )
        (row_id,) = cursor.fetchone()
        try:
            age, count = age_and_count()
        finally:
            cursor.execute("DELETE FROM contracts_outbox WHERE id = %s", [row_id])
    assert count == before[1] + 1
    assert 3600 <= age < max(3700, before[0] + 100)


def test_messages_that_wait_are_counted_by_queue(settings):
    import redis

    queue = "events.datasync"
    client = redis.Redis.from_url(settings.REDIS_URL)
    before = collected(QueueCollector())[f'celery_queue_length{{queue="{queue}"}}']
    client.rpush(queue, "x", "y")
    try:
        assert collected(QueueCollector())[f'celery_queue_length{{queue="{queue}"}}'] == before + 2
    finally:
        client.lrem(queue, 0, "x")
        client.lrem(queue, 0, "y")


def test_the_stage_in_the_metrics_is_the_stage_that_is_observed(moves):
    samples = collected(moves)
    for service in ("contracts", "notifications", "datasync"):
        stage = stages.observe(service).stage
        assert samples[f'extraction_stage{{service="{service}",stage="{stage}"}}'] == 1
        assert (
            sum(value for name, value in samples.items() if name.startswith(f'extraction_stage{{service="{service}"'))
            == 1
        )
        assert samples[f'extraction_fence_held_seconds{{service="{service}"}}'] == 0


def test_an_unread_slot_is_exported_with_its_retained_bytes(server):
    name, alias, collector = server
    with control_connections.replicator(alias) as control:
        control.execute("SELECT pg_create_logical_replication_slot('metrics_test', 'pgoutput')")
        try:
            control.execute("SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))")
            samples = collected(collector)
        finally:
            control.execute("SELECT pg_drop_replication_slot('metrics_test')")
    labels = f'{{database="landcontracts",server="{name}",slot="metrics_test"'
    assert samples[f"postgres_slot_retained_bytes{labels}}}"] >= 1_000_000
    assert samples[f"postgres_slot_safe_bytes{labels}}}"] > 0
    assert samples[f"postgres_slot_active{labels}}}"] == 0
    assert samples[f'postgres_slot_status{labels},status="reserved"}}'] == 1
    assert samples[f'postgres_slot_status{labels},status="lost"}}'] == 0
