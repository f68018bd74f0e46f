"""Answers: the application's, sent with its header in one packet, and refusals of the server's own."""

from __future__ import annotations

from functools import partial
from typing import Any

from waitress.task import Task, WSGITask

from landcontracts.server import figures
from landcontracts.server.refusals import FAILED, Refusal, rendered


class ApplicationAnswer(WSGITask):
    """The application's answer."""

    wrote_header: bool

    def write(self, data: bytes) -> None:
        """Send header and first bytes together; a HEAD request gets no body (RFC 9110, section 9.3.2)."""
        if self.request.command == "HEAD":
            if not self.wrote_header:
                super().write(b"")
            return
        if self.wrote_header or not data or self.content_length is None or not (self.complete and self.has_body):
            super().write(data)
            return
        head = self.build_response_header()
        self.wrote_header = True
        body = data[: self.content_length]
        self.content_bytes_written += len(body)
        self.channel.write_soon(head + body)

    def build_response_header(self) -> bytes:
        """The header; while the server stops, it ends the connection."""
        if self.channel.server.is_stopping:
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environment (PEP 3333). The application is told whether the operator's address was used."""
        environ: dict[str, Any] = super().get_environment()
        if self.channel.server.is_inner:
            environ["landcontracts.inner"] = True
        return environ


class Refused(Task):
    """A refusal. The connection is kept where the whole request was received."""

    complete = True

    def execute(self) -> None:
        """Write it."""
        refusal = self.request.error if isinstance(self.request.error, Refusal) else FAILED
        translate = partial(self.channel.server.policy.translated, self.request.headers)
        path = getattr(self.request, "path", "/")
        self.status, headers, body = rendered(refusal, self.request.route.form, path, translate)
        self.response_headers.extend(headers)
        figures.refused.labels(str(refusal.code)).inc()
        if self.channel.lingers or self.channel.server.is_stopping:
            self.set_close_on_finish()
        self.content_length = len(body)
        head = self.build_response_header()
        self.wrote_header = True
        self.channel.write_soon(head if self._is_head() else head + body)

    def _is_head(self) -> bool:
        """Whether the client asked for a header alone. waitress refuses in the name of a new request, without a method."""
        asked = self.channel.requests[0] if self.channel.requests else self.request
        return getattr(asked, "command", "") == "HEAD"
