"""An administrator in a browser: the steps that the pages assign to the admin."""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlencode

import urllib3

from tests.playbook.busy_stack import BusyStack


class Administrator:
    """A person with an administrator's account, logged in to the admin."""

    def __init__(self, busy_stack: BusyStack, email: str) -> None:
        self.email = email
        password = secrets.token_urlsafe(16)
        busy_stack.stack.manage("ensure_administrator", email, ADMINISTRATOR_PASSWORD=password)
        self._url = busy_stack.url
        self._http = urllib3.PoolManager(timeout=30.0)
        self._cookies: dict[str, str] = {}
        self._send("/admin/login/", {"username": email, "password": password, "next": "/admin/"})
        assert "sessionid" in self._cookies, f"{email} could not log in"

    def confirm_override(self, service: str) -> None:
        """Confirm the override that another administrator has asked for."""
        path = f"/admin/extraction/move/checklist/{service}/"
        pending = re.findall(r'name="override" value="([0-9a-f-]+)"', self._send(path))
        assert len(pending) == 1, f"{len(pending)} wait to be confirmed"
        self._send(path, {"action": "confirm", "override": pending[0], "reason": "a machine for tests"})
        assert pending[0] not in self._send(path)

    def _send(self, path: str, fields: dict[str, str] | None = None) -> str:
        """GET, or POST of a form of that page."""
        if fields is None:
            return self._ask("GET", path)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self._ask("GET", path))
        assert token is not None, path
        return self._ask("POST", path, urlencode({**fields, "csrfmiddlewaretoken": token[1]}))

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Referer": f"{self._url}{path}"}
        answer = self._http.request(method, self._url + path, body=body, headers=headers, redirect=False)
        for cookie in answer.headers.getlist("Set-Cookie"):
            name, _, value = cookie.split(";")[0].partition("=")
            self._cookies[name] = value
        assert answer.status in {200, 302}, f"{method} {path}: {answer.status}"
        return answer.data.decode()
