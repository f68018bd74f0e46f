"""Logs: JSON lines on standard error, from our code, Django, Celery and the web server alike, with the work's identity and without anybody's data.

Needs no settings, so that the web server's own process, which never loads Django, writes its lines in the same form.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from apps.core.observability import identity
from apps.core.observability.masking import is_sensitive, masked, masked_text

# Ours, and ids: an opaque one may look like a telephone number, and masked it could not be followed.
PLAIN = frozenset(
    {"timestamp", "level", "logger", "service", "process", "request_id", "trace_id", "span_id", "actor"}
    | {"event_id", "task_id"}
)
# What these tell at INFO, each second, is told better by lines of ours.
CHATTY = ("celery", "kombu", "botocore", "boto3", "urllib3", "asyncio", "amqp")
_process = Path(sys.argv[0]).name or "python"


def configure(level: str, *, service: str) -> dict[str, Any]:
    """Set structlog up, and give the standard library's configuration.

    `level` is the least that is written: below it a line costs a call of an empty function. `service` is this process's name.
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
            # A collector that is away is told of when a batch is given up, not at each attempt.
            "opentelemetry": {"level": level if level.upper() in {"DEBUG", "CRITICAL"} else "ERROR"},
            # The web server's and Django's own would write beside ours, in a form of their own.
            **{name: {"handlers": [], "propagate": True} for name in ("_granian", "granian.access")},
            **{name: {"handlers": [], "propagate": True, "level": level} for name in ("django", "django.server")},
            # Statements with their parameters: people's data, of which names cannot be known by their shape.
            "django.db.backends": {"level": "WARNING"},
        },
    }


def formatter(service: str = "") -> structlog.stdlib.ProcessorFormatter:
    """What makes a line of a record, whoever logged it."""
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
    """Take personal data and secrets out of everything that a line says, its traceback and its names of fields included."""
    return {
        name: value if name in PLAIN else _value(name, value)
        for name, value in ((masked_text(str(name)), value) for name, value in line.items())
    }


def _value(name: str, value: Any) -> Any:
    return "[masked]" if is_sensitive(name) and value not in (None, "") else masked(value)


def _identified(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """What the line is about; what the line itself says of it goes first."""
    return {**identity.fields(), **line}


def _named(service: str) -> Processor:
    def name(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
        if "service" in line:  # whom a line is about is another matter than who writes it
            line.setdefault("app", line["service"])
        line["service"], line["process"] = service, f"{_process}:{os.getpid()}"
        return line

    return name


_IDENTIFIED: tuple[Processor, ...] = (_identified, structlog.processors.TimeStamper(fmt="iso", utc=True))


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A thread that ends by an error says so in a line like any other."""
    if failure.exc_type is not SystemExit:
        told = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        name = "" if failure.thread is None else failure.thread.name
        structlog.get_logger(__name__).error("thread_failed", thread=name, exc_info=told)
