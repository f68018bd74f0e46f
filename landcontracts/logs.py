"""Configures logs: JSON lines on standard error from our code, Django, Celery and the web server, without personal
data.

Each line has the identity of its work. The module needs no settings, so that the web server's own process, which never
loads Django, writes the same form.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from apps.core.observability import identity
from apps.core.observability.masking import is_sensitive, masked, masked_text

# Our own fields and ids: an opaque id may look like a telephone number, and masked it could not be traced.
PLAIN = frozenset(
    {"timestamp", "level", "logger", "service", "process", "request_id", "trace_id", "span_id", "actor"}
    | {"event_id", "task_id"}
)
# Our own lines have the information that these log at INFO each second.
CHATTY = ("celery", "kombu", "botocore", "boto3", "urllib3", "asyncio", "amqp")
_process = identity.process_name()


def configure(level: str, *, service: str) -> dict[str, Any]:
    """Configure structlog, and return the standard library's configuration.

    `level` is the lowest level written: below it a line costs a call of an empty function. `service` is this process's
    name.
    """
    first = [_named(service), structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level, *_IDENTIFIED]
    structlog.configure(
        processors=[*first, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    threading.excepthook = _thread_failed
    logging.captureWarnings(capture=True)
    quiet = level if level.upper() in {"DEBUG", "ERROR", "CRITICAL"} else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "landcontracts.logs.formatter", "service": service}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            **{name: {"level": quiet} for name in CHATTY},
            # An unreachable collector is logged when a batch is dropped, not at each attempt.
            "opentelemetry": {"level": level if level.upper() in {"DEBUG", "CRITICAL"} else "ERROR"},
            # The handlers of Django would write a second line in another form.
            **{name: {"handlers": [], "propagate": True, "level": level} for name in ("django", "django.server")},
            # Statements contain people's data as parameters, and names cannot be recognised by their form.
            "django.db.backends": {"level": "WARNING"},
        },
    }


def formatter(service: str = "") -> structlog.stdlib.ProcessorFormatter:
    """The formatter of every record, from structlog or the standard library."""
    name = service or os.environ.get("SERVICE") or os.environ.get("SEAM_PROCESS_NAME") or "monolith"
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            _named(name),
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            *_IDENTIFIED,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Plain tracebacks: local variables would put passwords into the log.
            structlog.processors.format_exc_info,
            mask,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def mask(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Mask personal data and secrets in all of a line, including its traceback and its field names."""
    return {
        name: value if name in PLAIN else _value(name, value)
        for name, value in ((masked_text(str(name)), value) for name, value in line.items())
    }


def _value(name: str, value: Any) -> Any:
    return "[masked]" if is_sensitive(name) and value not in (None, "") else masked(value)


def _identified(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Add the identity of the work; the line's own fields take precedence."""
    return {**identity.fields(), **line}


def _named(service: str) -> Processor:
    def name(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
        if "service" in line:  # the service that a line is about, not the one that writes it
            line.setdefault("app", line["service"])
        line["service"], line["process"] = service, f"{_process}:{os.getpid()}"
        return line

    return name


_IDENTIFIED: tuple[Processor, ...] = (_identified, structlog.processors.TimeStamper(fmt="iso", utc=True))


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Log the error of a thread that ends by one."""
    if failure.exc_type is not SystemExit:
        exception = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        name = "" if failure.thread is None else failure.thread.name
        structlog.get_logger(__name__).error("thread_failed", thread=name, exc_info=exception)
