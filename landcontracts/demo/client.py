"""A small client of the public REST API: one person, one access token."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import urllib3


class Refused(Exception):
    """The API answered with a problem (RFC 9457)."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(
            f"{problem.get('status')} {problem.get('code')}: {problem.get('detail')} {problem.get('errors', '')}"
        )
        self.problem = problem


class Client:
    """The session of one person. `answered_by` collects which process answered for each service."""

    def __init__(self, url: str, answered_by: dict[str, str]) -> None:
        self.url = url
        self.answered_by = answered_by
        self.user: dict[str, Any] = {}
        self._http = urllib3.PoolManager(timeout=30.0, retries=False)
        self._headers = {"Accept": "application/json", "Accept-Language": "en"}

    def register(self, email: str, password: str, full_name: str, roles: list[str]) -> None:
        """Open an account and log in."""
        body = {"email": email, "password": password, "full_name": full_name, "roles": roles}
        self.post("auth/register", body)
        self.log_in(email, password)

    def log_in(self, email: str, password: str) -> None:
        """Get an access token and use it from now on."""
        tokens = self.post("auth/login", {"email": email, "password": password})
        self._headers["Authorization"] = f"Bearer {tokens['access_token']}"
        self.user = self.get("auth/me")

    def get(self, path: str) -> Any:
        """GET below `/api/v1/`. Raises: Refused."""
        return self._send("GET", path)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST JSON. Raises: Refused."""
        return self._send("POST", path, body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """PATCH JSON. Raises: Refused."""
        return self._send("PATCH", path, body)

    def upload(self, filename: str, content: bytes, mime_type: str, **fields: str) -> Any:
        """POST a file as multipart/form-data. Raises: Refused."""
        form: dict[str, Any] = {**fields, "file": (filename, content, mime_type)}
        answer = self._http.request("POST", f"{self.url}/api/v1/documents/upload", fields=form, headers=self._headers)
        return self._read(answer)

    def put(self, ticket: dict[str, Any], content: bytes) -> int:
        """PUT bytes under an upload ticket; returns the status."""
        headers = {header["name"]: header["value"] for header in ticket["headers"]}
        return int(self._http.request("PUT", ticket["url"], body=content, headers=headers).status)

    def fetch(self, url: str) -> tuple[bytes, str]:
        """The bytes of a signed URL, and their Content-Disposition."""
        answer = self._http.request("GET", url)
        return answer.data, answer.headers.get("Content-Disposition", "")

    def wait_for(self, path: str, good: Callable[[Any], bool], seconds: float = 30) -> Any:
        """Repeat a GET until the answer is good, because events take a moment. Raises: TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.get(path)
            if good(answer):
                return answer
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} is still {answer}")
            time.sleep(0.05)

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        encoded = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": "application/json"}
        return self._read(self._http.request(method, f"{self.url}/api/v1/{path}", body=encoded, headers=headers))

    def _read(self, answer: urllib3.BaseHTTPResponse) -> Any:
        for pair in filter(None, answer.headers.get("X-Answered-By", "").split(", ")):
            service, _, process = pair.partition("=")
            self.answered_by[service] = process
        content = json.loads(answer.data) if answer.data else None
        if answer.status >= 400:
            raise Refused(content if isinstance(content, dict) else {"status": answer.status, "code": "no_problem"})
        return content
