"""The dashboard of all services: their stages, the requests of people, and the relocations under way."""

from __future__ import annotations

from landcontracts.monitoring.panels import Dashboard, Panel, Query

REMOTE = "remote|syncing|verified|cutting|reversible|committed|decommissioned"
APART = "committed|decommissioned"
OVERVIEW = Dashboard(
    "lc-overview",
    "Migration: all services",
    (
        (
            "Stages",
            (
                Panel(
                    "Served remotely, of all",
                    (
                        Query(
                            f'count(max by (service) (extraction_stage{{stage=~"{REMOTE}"}}) == 1) or vector(0)',
                            "remote",
                        ),
                        Query("count(count by (service) (extraction_stage))", "all"),
                    ),
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Data of their own, of all",
                    (
                        Query(
                            f'count(max by (service) (extraction_stage{{stage=~"{APART}|reversible"}}) == 1) or vector(0)',
                            "own",
                        ),
                        Query("count(count by (service) (extraction_stage))", "all"),
                    ),
                    kind="stat",
                    width=4,
                ),
                Panel(
                    "Stage",
                    (Query("max by (service, stage) (extraction_stage) == 1", "{{service}}: {{stage}}"),),
                    kind="stat",
                    width=16,
                ),
                Panel(
                    "Share of people served remotely",
                    (Query('max by (service) (seam_route_percent{kind="remote"})', "{{service}}"),),
                    unit="percent",
                ),
                Panel(
                    "Canaries",
                    (Query("max by (service, state) (canary_state) == 1", "{{service}}: {{state}}"),),
                    kind="stat",
                ),
                Panel(
                    "Alerts that fire",
                    (Query('sum by (alertname, service) (ALERTS{alertstate="firing"})', "{{alertname}} {{service}}"),),
                    kind="stat",
                ),
            ),
        ),
        (
            "Requests of people",
            (
                Panel(
                    "Requests, per second",
                    (Query("sum by (service) (rate(http_requests_total[5m]))", "{{service}}"),),
                    "reqps",
                ),
                Panel("Answered 5xx", (Query("service:http_errors:ratio_rate5m", "{{service}}"),), "percentunit"),
                Panel(
                    "95th percentile of requests",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (service, le) (rate(http_request_seconds_bucket[5m])))",
                            "{{service}}",
                        ),
                    ),
                    "s",
                ),
            ),
        ),
        (
            "Relocations",
            (
                Panel(
                    "Data copied",
                    (
                        Query(
                            "max by (service) (data_sync_rows_copied) / (max by (service) (data_sync_rows_to_copy) > 0)",
                            "{{service}}",
                        ),
                    ),
                    "percentunit",
                ),
                Panel(
                    "Copy is behind",
                    (Query("max by (service, table) (data_sync_delay_seconds)", "{{service}} {{table}}"),),
                    "s",
                ),
                Panel(
                    "Remote time by local time (p95)",
                    (
                        Query(
                            'service_side:seam_call_seconds:p95_rate5m{side="away"} / ignoring (side)'
                            ' service_side:seam_call_seconds:p95_rate5m{side="home"}',
                            "{{service}}",
                        ),
                    ),
                    "none",
                    about="1 is as fast; only where both sides answer calls.",
                ),
            ),
        ),
    ),
)
