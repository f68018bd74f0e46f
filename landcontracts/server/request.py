"""One request while it is received: its header by httptools (llhttp), its body on disk past a size."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import tempfile
import time
from functools import lru_cache
from typing import IO, Any
from urllib.parse import unquote_to_bytes, urlsplit

import httptools

from landcontracts.server import refusals
from landcontracts.server.lanes import Place
from landcontracts.server.options import (
    BODY_SECONDS,
    CROWDED_BYTES_PER_SECOND,
    GRACE_SECONDS,
    HEADER_SECONDS,
    HEAVY_BODY_SECONDS,
    IN_MEMORY,
    KIB,
    MAX_BACKSLASHES,
    MAX_FIELD,
    MAX_FIELDS,
    MAX_HEADER,
    MIN_BYTES_PER_SECOND,
    PAUSE_SECONDS,
)
from landcontracts.server.refusals import Refusal
from landcontracts.server.routes import Form, Kind, Policy, Route

log = logging.getLogger(__name__)
_FIRST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Z]+) ([^ ]+) HTTP/(1\.[01])")  # RFC 9112, section 3
_DIGITS = re.compile(r"[0-9]+")
FRAMING_BYTES = 8 * KIB
PIECE_BYTES = 4 * KIB
END = b"\r\n\r\n"


@lru_cache(maxsize=256)
def _key(name: bytes) -> str:
    """A field's name in upper case, dashes as underscores; empty for one with an underscore, which is left out."""
    return "" if b"_" in name else name.upper().replace(b"-", b"_").decode("latin-1")


class Request:
    """A request; `error` is set where the server refuses it. Headers are in upper case, dashes as underscores."""

    def __init__(self, policy: Policy) -> None:
        self.restart()
        self._policy = policy
        self.route = Route(form=Form.PROBLEM)
        self.person: str | None = None  # None while nothing has asked
        self.place: Place | None = None  # among expensive requests
        self.is_asking = self.is_admitted = False
        self.error: Refusal | None = None
        self.completed = self.headers_finished = False
        self.command, self.target, self.path, self.query, self.version = "", "", "/", "", "1.0"
        self.headers: dict[str, str] = {}
        self.keeps_alive = self.expects_continue = self.chunked = False
        self.content_length = 0
        self.body: IO[bytes] = io.BytesIO()
        self.length = self.body_bytes_received = 0  # of the content; with the framing of chunks
        self._head = bytearray()
        self._chunks: Any = None
        self._is_head_parsed = self._is_last_chunk_read = False
        self._are_headers_bounded = False  # until then they may cost much time, even to find the reader's language

    # --- httptools' callbacks ---

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field, not of a trailer. A name with an underscore could be taken for one with a dash, and is left out."""
        if self._is_head_parsed:
            return
        key = _key(name)
        text = value.decode("latin-1").strip(" \t")
        if key in self.headers:
            text = f"{self.headers[key]}{'; ' if key == 'COOKIE' else ', '}{text}"
        if key:
            self.headers[key] = text

    def on_body(self, body: bytes) -> None:
        """A piece of a body in chunks."""
        self.length += len(body)
        if self.length <= self.route.limit:
            self.body.write(body)

    def on_message_complete(self) -> None:
        """The last chunk."""
        self._is_last_chunk_read = True

    def on_message_begin(self) -> None:
        """A request behind this one's last chunk: its bytes are gone, and so the connection ends with the answer."""
        if self._is_head_parsed:
            self.keeps_alive = False

    # --- Receiving ---------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Begin to count its times."""
        self.began = time.monotonic()
        self._due = self.began + GRACE_SECONDS

    def received(self, data: bytes) -> int:
        """Take bytes of the connection; returns how many. A full disk refuses the request."""
        try:
            consumed = self._received(data)
        except OSError:
            self.refuse(refusals.NO_SPACE)
            return len(data)
        except (ValueError, httptools.HttpParserError):  # of an address or a length too, that Python does not read
            if not self._are_headers_bounded:
                self.headers.clear()
            self.refuse(refusals.MALFORMED)
            return len(data)
        except Exception:
            log.exception("request_without_route")
            self.headers.clear()
            self.refuse(refusals.FAILED)
            return len(data)
        if self.error is None and max(self.length, self.content_length) > self.route.limit:
            self.refuse(refusals.TOO_LARGE)
        if self.error is None and self.chunked and self._framing() > self.length // 8 + FRAMING_BYTES:
            self.refuse(refusals.MALFORMED)  # chunks of a few bytes, or extensions and trailers: each costs time
        self._due = min(self._due + consumed / MIN_BYTES_PER_SECOND, time.monotonic() + PAUSE_SECONDS)
        return consumed

    def _received(self, data: bytes) -> int:
        if not self.headers_finished:
            return self._received_head(data)
        if self.chunked:
            piece = data[:PIECE_BYTES] if self.is_fragmented else data
            self.body_bytes_received += len(piece)
            self._feed(piece)
            self.completed = self._is_last_chunk_read
            return len(piece)
        piece = data[: self.content_length - self.length]
        self.body.write(piece)
        self.length += len(piece)
        self.body_bytes_received = self.length
        self.completed = self.length == self.content_length
        return len(piece)

    def _feed(self, piece: bytes) -> None:
        """Give chunks to the parser; what follows the last one is another request, and not of ours."""
        try:
            self._chunks.feed_data(piece)
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None  # a full disk, as for any other body
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._is_last_chunk_read:
                raise
            self.keeps_alive = False

    def _received_head(self, data: bytes) -> int:
        before = len(self._head)
        self._head += data[: MAX_HEADER + len(END) - before]
        end = self._head.find(END, max(before - len(END), 0))
        if end < 0:
            if len(self._head) >= MAX_HEADER:
                self.refuse(refusals.HEADERS_TOO_LARGE)
            return len(data)
        consumed = end + len(END) - before
        self.headers_finished = True
        self._parse(bytes(self._head[: end + len(END)]))
        self._head.clear()
        return consumed

    def _parse(self, head: bytes) -> None:
        """Parse the header and find the route. Raises: ValueError, httptools.HttpParserError."""
        first_line, _, _ = head.partition(b"\r\n")
        matched = _FIRST_LINE.fullmatch(first_line)
        if matched is None:
            raise ValueError("the first line has another form")
        lines = head.count(b"\r\n")
        if b"\r\n " in head or b"\r\n\t" in head or head.count(b"\n") != lines:
            raise ValueError("a folded field, or a bare end of line")  # RFC 9112, sections 5.2 and 2.2
        if lines - 2 > MAX_FIELDS:  # without the first line and the empty one
            self.refuse(refusals.HEADERS_TOO_LARGE)
            return
        self._chunks = httptools.HttpRequestParser(self)
        with contextlib.suppress(httptools.HttpParserUpgrade):  # none is offered, so it is ignored (RFC 9110, 7.8)
            self._chunks.feed_data(head)
        self._is_head_parsed = True
        method, target, version = matched.groups()
        self.command, self.target, self.version = method.decode("latin-1"), target.decode("latin-1"), version.decode()
        if "," in self.headers.get("HOST", "," if self.version == "1.1" else ""):
            raise ValueError("no host, or two")  # RFC 9112, section 3.2
        self._find_path(target)
        self.route = self._policy.route(self.command, self.path, self.headers)
        self._are_headers_bounded = (
            max(map(len, (self.target, *self.headers.values()))) <= MAX_FIELD
            and self.headers.get("COOKIE", "").count("\\") <= MAX_BACKSLASHES
        )
        if not self._are_headers_bounded:
            self.headers.clear()  # the refusal is written in the language that they ask for
            self.refuse(refusals.HEADERS_TOO_LARGE)
            return
        self._find_framing()

    def _find_path(self, target: bytes) -> None:
        if target.startswith((b"/", b"*")):
            path, _, query = target.partition(b"#")[0].partition(b"?")
        else:  # in absolute form: RFC 9112, section 3.2.2
            _, authority, path, query, _ = urlsplit(target)
            if b"@" in authority:
                raise ValueError("a name and a password in an address")
            if authority:  # it counts, and the field does not
                self.headers["HOST"] = authority.decode("latin-1")
        self.path = f"/{unquote_to_bytes(path).decode('latin-1').lstrip('/')}"
        self.query = query.decode("latin-1")

    def _find_framing(self) -> None:
        """How long the body is, and whether another request may follow (RFC 9112, sections 6 and 9.3)."""
        tokens = {token.strip().lower() for token in self.headers.get("CONNECTION", "").split(",")}
        is_modern = self.version >= "1.1"
        self.keeps_alive = "close" not in tokens and (is_modern or "keep-alive" in tokens)
        self.expects_continue = is_modern and self.headers.get("EXPECT", "").lower() == "100-continue"
        coding, length = self.headers.pop("TRANSFER_ENCODING", None), self.headers.get("CONTENT_LENGTH")
        if coding is not None:
            if not is_modern or length is not None:
                raise ValueError("two framings of one body")  # a sign of request smuggling
            if coding.lower() != "chunked":
                self.refuse(refusals.NOT_IMPLEMENTED)
                return
            self.chunked = True
        elif length is not None:
            if not _DIGITS.fullmatch(length):
                raise ValueError("no length")
            self.content_length = int(length)
        if self.chunked or self.content_length > IN_MEMORY:
            self.body = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed in `close`
        self.completed = not self.chunked and not self.content_length

    @property
    def is_fragmented(self) -> bool:
        """Whether its body comes in chunks so small that others have to have their turn between pieces of it."""
        return self.chunked and self._framing() * 64 >= self.body_bytes_received

    def _framing(self) -> int:
        """Of a body in chunks, what is not its content; in bytes."""
        return self.body_bytes_received - self.length

    def admit(self) -> None:
        """Receive the body as well, unless the header alone shows that the sender is not who it says."""
        self.is_admitted = True
        if self.route.kind is not Kind.USUAL:
            return
        try:
            if not self._policy.is_sealed(self.command, self.path, self.headers):
                self.refuse(refusals.NOT_AUTHENTIC)
        except Exception:
            log.exception("seal_not_checked")
            self.refuse(refusals.FAILED)

    def refuse(self, refusal: Refusal) -> None:
        """Receive no more of it."""
        self.error = refusal
        self.completed = True

    @property
    def declared(self) -> int:
        """The length of the body as it is known before it has come, in bytes."""
        return self.route.limit if self.chunked else self.content_length

    def is_late(self, now: float, *, is_crowded: bool) -> bool:
        """Whether the header or the body arrives too slowly. `now`: of the monotonic clock.

        A client that was faster than it has to be may pause, for a bounded time. `is_crowded`: places are scarce.
        """
        seconds = now - self.began
        if not self.headers_finished:
            return seconds > HEADER_SECONDS
        if self.is_asking:
            return False  # its client waits for us
        if now > self._due or seconds > (HEAVY_BODY_SECONDS if self.route.kind is Kind.HEAVY else BODY_SECONDS):
            return True
        wanted = max(seconds - GRACE_SECONDS, 0) * CROWDED_BYTES_PER_SECOND
        return is_crowded and self.place is not None and self.body_bytes_received < wanted

    def close(self) -> None:
        """Free what it holds: its body, and its place among expensive requests."""
        try:
            self.body.close()
        except OSError as error:  # a full disk: what the file still held is lost with it
            log.warning("body_not_closed: %s", error)
        finally:
            if self.place is not None:
                self.place.leave()

    @property
    def is_unasked(self) -> bool:
        """Whether it is expensive and its sender is not known yet."""
        return self.route.kind is Kind.HEAVY and self.person is None
