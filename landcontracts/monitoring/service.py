"""The dashboard of one service's migration: both sides, the canary, its data."""

from __future__ import annotations

from landcontracts.monitoring.panels import Dashboard, Panel, Query

BY_SIDE = 'service="$service", side=~"home|away"'


def _quantile(share: float) -> Query:
    rate = f"sum by (side, le) (rate(seam_call_seconds_bucket{{{BY_SIDE}}}[5m]))"
    return Query(f"histogram_quantile({share}, {rate})", f"p{share * 100:g} {{{{side}}}}")


SERVICE = Dashboard(
    "lc-service",
    "Migration: one service",
    (
        (
            "Routing",
            (
                Panel(
                    "Stage",
                    (Query('max by (stage) (extraction_stage{service="$service"}) == 1', "{{stage}}"),),
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Share of people",
                    (
                        Query('max by (kind) (seam_route_percent{service="$service"})', "flag, {{kind}}"),
                        Query('max(canary_share_percent{service="$service"})', "canary"),
                    ),
                    "percent",
                    width=10,
                ),
                Panel(
                    "Evidence against the canary",
                    (Query('max by (measure) (canary_evidence{service="$service"})', "{{measure}}"),),
                    width=10,
                    about="100 rolls it back.",
                ),
            ),
        ),
        (
            "Both sides",
            (
                Panel(
                    "Calls, per second",
                    (Query(f"sum by (side) (rate(seam_call_seconds_count{{{BY_SIDE}}}[5m]))", "{{side}}"),),
                    "reqps",
                ),
                Panel(
                    "Calls that fail",
                    (Query('service_side:seam_faults:ratio_rate5m{service="$service"}', "{{side}}"),),
                    "percentunit",
                ),
                Panel("Time of a call", (_quantile(0.5), _quantile(0.95), _quantile(0.99)), "s"),
                Panel(
                    "Attempts without an answer",
                    (Query('sum by (kind) (rate(seam_remote_failures_total{service="$service"}[5m]))', "{{kind}}"),),
                    "ops",
                ),
                Panel(
                    "Answered locally instead",
                    (Query('service:seam_fallbacks:ratio_rate5m{service="$service"}', "share"),),
                    "percentunit",
                ),
                Panel(
                    "Circuit breaker",
                    (Query('service_side:seam_breaker_open:max{service="$service"}', "{{side}}"),),
                    about="1 while open.",
                ),
                Panel(
                    "Answered by the lifted-out process",
                    (Query('sum by (status) (rate(seam_served_total{service="$service"}[5m]))', "{{status}}"),),
                    "reqps",
                ),
                Panel(
                    "Comparisons of both sides, by verdict",
                    (
                        Query(
                            'sum by (verdict) (rate(seam_shadow_compared_total{service="$service"}[5m]))', "{{verdict}}"
                        ),
                    ),
                    "ops",
                ),
                Panel(
                    "Mismatches in an hour, by method",
                    (
                        Query(
                            'sum by (method) (increase(seam_shadow_compared_total{service="$service", verdict="mismatch"}[1h])) > 0',
                            "{{method}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "Data",
            (
                Panel(
                    "Rows copied",
                    (
                        Query('max by (table) (data_sync_rows_copied{service="$service"})', "copied {{table}}"),
                        Query('max by (table) (data_sync_rows_to_copy{service="$service"})', "at the start {{table}}"),
                    ),
                ),
                Panel(
                    "Copy is behind",
                    (Query('max by (table) (data_sync_delay_seconds{service="$service"})', "{{table}}"),),
                    "s",
                ),
                Panel(
                    "Log not confirmed",
                    (Query('max by (table) (data_sync_lag_bytes{service="$service"})', "{{table}}"),),
                    "bytes",
                ),
                Panel(
                    "Comparing both databases",
                    (
                        Query('max(data_verify_differences{service="$service"})', "rows that differ"),
                        Query('max(data_verify_backlog_rows{service="$service"})', "changed rows to compare"),
                    ),
                ),
                Panel("Fence held", (Query('max(extraction_fence_held_seconds{service="$service"})', "seconds"),), "s"),
                Panel(
                    "Outbox",
                    (
                        Query('max(seam_outbox_waiting_events{service="$service"})', "events that wait"),
                        Query('max(seam_outbox_oldest_seconds{service="$service"})', "age of the oldest, s"),
                    ),
                ),
            ),
        ),
    ),
    of_one_service=True,
)
