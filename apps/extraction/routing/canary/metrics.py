"""The state of each service's newest canary as metrics, read from the control database at a scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from apps.extraction.routing.canary import history, queries
from apps.extraction.routing.canary.models import CanaryDeployment, CanaryState
from apps.extraction.routing.judge.ruling import Verdict


class CanaryCollector(Collector):
    """Metrics from the control database: every process exports the same."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """`canary_*`. Raises: django.db.Error while the control database is unreachable."""
        state = GaugeMetricFamily("canary_state", "1 for the state of the newest canary", labels=("service", "state"))
        share = GaugeMetricFamily(
            "canary_share_percent", "Share of people that a canary serves remotely", labels=("service",)
        )
        evidence = GaugeMetricFamily("canary_evidence", "Evidence against a canary", labels=("service", "measure"))
        judged = GaugeMetricFamily(
            "canary_judged_timestamp_seconds", "When a canary was last judged", labels=("service",)
        )
        observed = GaugeMetricFamily(
            "canary_observed_timestamp_seconds", "When calls were last observed during a canary", labels=("service",)
        )
        for canary in history.newest():
            state.add_metric([canary.service, state_of(canary)], 1)
            if canary.ended_at is not None:
                continue
            share.add_metric([canary.service], queries.rules_of(canary).steps[canary.step])
            for measure, value in canary.evidence.items():
                evidence.add_metric([canary.service, measure], value)
            judged.add_metric([canary.service], (canary.judged_at or canary.started_at).timestamp())
            observed.add_metric([canary.service], (history.observed_at() or canary.started_at).timestamp())
        yield from (state, share, evidence, judged, observed)


def state_of(canary: CanaryDeployment) -> str:
    """Its state, or `not_known` while it runs and the judge knows nothing."""
    is_not_known = canary.state == CanaryState.RUNNING and canary.verdict == Verdict.NOT_KNOWN.value
    return Verdict.NOT_KNOWN.value if is_not_known else str(canary.state)
