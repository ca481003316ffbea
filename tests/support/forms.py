"""Forms of the console, sent by a client that follows where they lead."""

from collections.abc import Mapping

import httpx

from support.visitor import CSRF


async def send(
    client: httpx.AsyncClient, path: str, form: Mapping[str, str | list[str]] | None = None
) -> httpx.Response:
    """Send a form; return the page that it leads to."""
    found = CSRF.search((await client.get("/configurations")).text)
    assert found
    answer = await client.post(path, data={"csrf": found[1]} | dict(form or {}))
    assert answer.status_code == 303, (path, answer.text)
    return await client.get(answer.headers["location"])
