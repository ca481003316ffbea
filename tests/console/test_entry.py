"""Who is signed in is told so on every page, and who is not any more signs in and goes on."""

import httpx
import pytest

from clicktrail.console.entry.cookies import SESSION
from clicktrail.model import ConfigurationSet
from clicktrail.store import Store


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing/here", 404), ("/messages/none", 404), ("/guide/skip", 405)]
)
async def test_a_page_that_is_not_there_has_the_navigation_all_the_same(
    viewer: httpx.AsyncClient, base: str, path: str, status: int
) -> None:
    found = await viewer.get(path)
    assert found.status_code == status
    assert 'aria-label="Pages"' in found.text
    assert "maria" in found.text
    async with httpx.AsyncClient(base_url=base) as stranger:
        unknown = await stranger.get("/nothing/here")
    assert unknown.status_code == 404
    assert 'aria-label="Pages"' not in unknown.text


@pytest.mark.parametrize(
    ("page", "back"),
    [
        ("{base}/configurations/news?x=1#settings", "%2Fconfigurations%2Fnews%3Fx%3D1"),
        ("https://evil.example/configurations", "%2F"),
        ("{base}//evil.example/", "%2F"),
        ("http://[", "%2F"),
        ("", "%2F"),
    ],
)
async def test_a_form_that_is_sent_without_a_session_leads_to_sign_in_and_back(
    store: Store, admin: httpx.AsyncClient, page: str, back: str
) -> None:
    await store.configuration.create_set(ConfigurationSet("news"))
    admin.cookies.delete(SESSION)
    referer = {"Referer": page.format(base=str(admin.base_url).rstrip("/"))} if page else {}
    answer = await admin.post("/configurations/news/delete", headers=referer)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/sign-in?next={back}&unsent=1"
    said = await admin.get(answer.headers["location"])
    assert "nothing was done" in said.text
    assert f'action="/sign-in{"" if back == "%2F" else f"?next={back}"}"' in said.text
    assert await store.configuration.get_set("news")
