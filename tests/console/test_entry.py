"""Who is signed in is told so on every page, and who is not any more signs in and goes on."""

import re
import secrets
from html import escape, unescape

import httpx
import pytest

from clicktrail.console.entry.cookies import SESSION
from clicktrail.console.forms import COOKIE
from clicktrail.model import ConfigurationSet
from clicktrail.store import Store
from support.visitor import PASSWORD


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


FORM = re.compile(r'<form method="post" action="([^"]+)".*?</form>', re.DOTALL)
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
TYPED = re.compile(r'<input (?:type="(?:text|email|url)" )?name="([^"]+)"')


def forms_of(page: str) -> list[tuple[str, dict[str, str], list[str]]]:
    """Return the forms of a page: where they go, what they hold, and what is typed in them."""
    return [
        (unescape(found[1]), dict(HIDDEN.findall(found[0])), TYPED.findall(found[0]))
        for found in FORM.finditer(page)
    ]


@pytest.fixture
async def pages(store: Store) -> list[str]:
    """Pages with forms, all that there are."""
    await store.configuration.create_set(ConfigurationSet("news"))
    made = await store.configuration.create_identity("example.com", None)
    identity = f"/identities/{made.id}"
    return [
        "/configurations",
        "/configurations/news",
        "/identities",
        identity,
        "/guide",
        "/dead-letters",
    ]


async def end_session(store: Store, client: httpx.AsyncClient) -> None:
    """End the session of a client that does not know yet."""
    token = client.cookies[SESSION]
    await store.accounts.sign_out(token)
    client.cookies.clear()
    client.cookies.set(SESSION, token, domain=client.base_url.host)  # as the service gives it


async def send_without_a_session(
    store: Store, client: httpx.AsyncClient, page: str, action: str, form: dict[str, str]
) -> httpx.Response:
    """Send a form of a page whose session has ended; return the sign-in page."""
    await end_session(store, client)
    answer = await client.post(action, data=form, headers={"Referer": f"{client.base_url}{page}"})
    assert answer.status_code == 303
    found = await client.get(answer.headers["location"])
    assert "nothing was done" in found.text
    return found


async def sign_in_there(client: httpx.AsyncClient, page: httpx.Response) -> httpx.Response:
    """Sign in on that page; return where it leads."""
    [action] = re.findall(r'action="(/sign-in[^"]*)"', page.text)
    form = {"name": "olga", "password": PASSWORD}
    await client.post(unescape(action), data=form | {"password": "wrong"})  # and once more
    answer = await client.post(unescape(action), data=form)
    assert answer.status_code == 303
    return await client.get(answer.headers["location"])


async def test_what_was_typed_is_there_again_after_signing_in(
    store: Store, admin: httpx.AsyncClient, pages: list[str]
) -> None:
    typed = 'typed "so" & so'
    seen = 0
    for page in pages:
        for action, hidden, names in forms_of((await admin.get(page)).text):
            if not hidden.get("place"):  # signing out, skipping the guide: nothing to say there
                continue
            form = hidden | dict.fromkeys(names, typed)
            shown = await send_without_a_session(store, admin, page, action, form)
            assert typed not in unescape(shown.text)
            found = await sign_in_there(admin, shown)
            assert found.status_code == 200
            assert found.url.path == page
            assert "You were signed out, so nothing was done." in found.text, action
            assert found.text.count(f'value="{escape(typed)}"'.replace("&quot;", "&#34;")) == len(
                names
            ), (action, names)
            # Once: not on other pages, and not after signing in again without one.
            assert "nothing was done" not in (await admin.get(page)).text
            seen += bool(names)
    assert seen >= 4
    assert [each.name for each in (await store.configuration.current()).sets.values()] == ["news"]


@pytest.mark.parametrize("what", ["of another site", "forged", "too large", "signed out"])
async def test_a_form_that_cannot_be_kept_is_not(
    store: Store, admin: httpx.AsyncClient, what: str
) -> None:
    form = {"name": "typed so", "place": "new"}
    headers = {"Referer": f"{admin.base_url}/configurations"}
    if what == "of another site":
        headers["Sec-Fetch-Site"] = "same-site"
    elif what == "too large":
        form["name"] += secrets.token_hex(10_000)
    await end_session(store, admin)
    if what == "signed out":
        admin.cookies.delete(SESSION)
    answer = await admin.post("/configurations", data=form, headers=headers)
    if what == "forged":
        kept = admin.cookies[COOKIE]
        other = f"{kept[:20]}{'1' if kept[20] == '0' else '0'}{kept[21:]}"
        admin.cookies.set(COOKIE, other, domain=admin.base_url.host)
    found = await sign_in_there(admin, await admin.get(answer.headers["location"]))
    assert found.url.path == "/configurations"
    assert "typed so" not in found.text
    assert ("too long to be shown again" in found.text) == (what == "too large")
