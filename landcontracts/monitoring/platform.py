"""The dashboard of the platform: processes, background work, databases, and expiries."""

from __future__ import annotations

from landcontracts.monitoring.panels import Dashboard, Panel, Query

PLATFORM = Dashboard(
    "lc-platform",
    "The platform",
    (
        (
            "Processes",
            (
                Panel("Up", (Query("up", "{{job}} {{lifted}} {{instance}}"),), kind="stat"),
                Panel(
                    "Sources of metrics that answer",
                    (Query("min by (source) (metrics_source_up)", "{{source}}"),),
                    kind="stat",
                ),
                Panel(
                    "Time of each source at a scrape",
                    (Query("max by (source) (metrics_source_seconds)", "{{source}}"),),
                    "s",
                ),
            ),
        ),
        (
            "Background work",
            (
                Panel("Queues", (Query("max by (queue) (celery_queue_length)", "{{queue}}"),)),
                Panel(
                    "Tasks, per second",
                    (Query("sum by (task, state) (rate(celery_tasks_total[5m]))", "{{task}} {{state}}"),),
                    "ops",
                ),
                Panel(
                    "Time of a task, 95th percentile",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (task, le) (rate(celery_task_seconds_bucket[5m])))",
                            "{{task}}",
                        ),
                    ),
                    "s",
                ),
                Panel(
                    "Last tick of the clock",
                    (Query('time() - max(celery_task_succeeded_timestamp_seconds{task="core.pump_all"})', "ago"),),
                    "s",
                ),
                Panel("Oldest event", (Query("max by (service) (seam_outbox_oldest_seconds)", "{{service}}"),), "s"),
                Panel(
                    "Deliveries, per second",
                    (
                        Query(
                            "sum by (service, outcome) (rate(seam_events_delivered_total[5m]))",
                            "{{service}} {{outcome}}",
                        ),
                    ),
                    "ops",
                ),
            ),
        ),
        (
            "Databases",
            (
                Panel(
                    "Followers are behind",
                    (
                        Query(
                            'max by (server, application) (postgres_replication_lag_seconds{stage="replay"})',
                            "{{application}} of {{server}}",
                        ),
                        Query("max by (replica) (database_replica_lag_seconds)", "{{replica}}"),
                    ),
                    "s",
                ),
                Panel(
                    "Log that slots keep",
                    (Query("max by (server, slot) (postgres_slot_retained_bytes)", "{{slot}} of {{server}}"),),
                    "bytes",
                ),
                Panel(
                    "Log until a slot is lost",
                    (Query("min by (server, slot) (postgres_slot_safe_bytes)", "{{slot}} of {{server}}"),),
                    "bytes",
                ),
                Panel(
                    "Slots by state",
                    (Query("max by (server, slot, status) (postgres_slot_status) == 1", "{{slot}}: {{status}}"),),
                    kind="stat",
                ),
                Panel(
                    "Subscriptions are silent",
                    (
                        Query(
                            "max by (server, subscription) (postgres_subscription_silent_seconds)", "{{subscription}}"
                        ),
                    ),
                    "s",
                ),
                Panel(
                    "Changes that could not be applied",
                    (
                        Query(
                            "sum by (subscription) (increase(postgres_subscription_errors_total[5m]))",
                            "{{subscription}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "Expiries",
            (
                Panel(
                    "Certificates and revocation lists, time left",
                    (
                        Query(
                            "min by (kind, subject) (certificate_expiry_timestamp_seconds) - time()",
                            "{{kind}} {{subject}}",
                        ),
                    ),
                    "s",
                    kind="stat",
                    width=16,
                ),
                Panel(
                    "Age of the signing key",
                    (Query("time() - max by (kid) (jwt_signing_key_first_used_timestamp_seconds)", "{{kid}}"),),
                    "s",
                    kind="stat",
                ),
            ),
        ),
    ),
)
