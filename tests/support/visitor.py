"""Somebody with a browser, without its eyes: keeps cookies, sends forms."""

import re
from typing import Any

import httpx

from support.service import PATIENCE, Service

PASSWORD = "correct horse battery"
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


class Visitor:
    """Visits the console of a running service."""

    def __init__(self, service: Service) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{service.console}", timeout=PATIENCE)

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, form: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        """Send a form with the secret that the pages of the session have in theirs."""
        found = CSRF.search(self.get("/configurations").text)
        fields = {"csrf": found[1] if found else ""} | (form or {})
        return self.client.post(path, data=fields, headers=headers)

    def sent(self, path: str, form: dict[str, Any] | None = None) -> httpx.Response:
        """Send a form as `post` does; return the page that it leads to."""
        answer = self.post(path, form)
        assert answer.status_code == 303, (path, answer.status_code)
        return self.get(answer.headers["location"])

    def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        return self.client.post("/sign-in", data={"name": name, "password": password})

    def welcome(self, token: str, password: str = PASSWORD) -> httpx.Response:
        form = {"password": password, "again": password}
        return self.client.post(f"/welcome/{token}", data=form)


def account(service: Service, name: str, role: str = "viewer") -> str:
    """Make an account; return the token of its link."""
    said = service.cli("console-user", "create", name, "--role", role)
    return said.strip().rpartition("/welcome/")[2]
