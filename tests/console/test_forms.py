"""Forms and routes: where each form leads, what survives a refusal, and whose segment is whose."""

import re
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from itertools import combinations
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from clicktrail import console as package
from clicktrail.base.arn import stream_arn
from clicktrail.base.ids import new_id, now_us
from clicktrail.console.app import Console
from clicktrail.console.entry.drafts import LIFE, Drafts
from clicktrail.errors import AlreadyExists
from clicktrail.model import (
    NO_RULES,
    ConfigurationSet,
    EventDestination,
    EventType,
    Link,
    Message,
    MessageState,
    Rules,
    Thresholds,
)
from clicktrail.model.subscription import ContactList
from clicktrail.store import Store
from clicktrail.store.mail.grouping import mailings_of
from clicktrail.store.mail.templates import EmailTemplate
from support.forms import send

TEMPLATES = sorted((Path(package.__file__).parent / "templates").glob("*.html"))
SIGNING_IN = ("/sign-in", "/welcome/{token}")
"""Their forms answer for themselves: their status tells what watches sign-ins, and no password is
kept to be shown again."""
FORM = re.compile(r"<form\b(?:[^>{]|\{\{.*?\}\}|\{%.*?%\})*>", re.DOTALL)


def routes(console: Console) -> Iterator[Route]:
    return (each for each in console.app.routes if isinstance(each, Route))


def forms(console: Console) -> list[str]:
    """Return the path of every route that takes a form."""
    paths = [each.path for each in routes(console) if "POST" in (each.methods or ())]
    return [path for path in paths if path not in SIGNING_IN]


async def make(store: Store, name: str, *destinations: str) -> None:
    """Make a configuration set with streams."""
    types = frozenset({EventType.CLICK})
    made = (EventDestination(each, stream_arn("s"), types) for each in destinations)
    await store.configuration.create_set(ConfigurationSet(name, destinations=tuple(made)))


def test_every_form_names_where_it_goes() -> None:
    found = [tag for path in TEMPLATES for tag in FORM.findall(path.read_text("utf-8"))]
    assert len(found) > 15
    for tag in found:
        assert re.search(r'\baction="[^"]|filters\("', tag), tag


async def test_every_form_is_answered_with_a_page_that_can_be_loaded_again(
    store: Store, console: Console, admin: httpx.AsyncClient
) -> None:
    assert len(forms(console)) > 10
    mailing = await _mailing(store)
    for path in forms(console):
        if path == "/sign-out":
            continue
        for filled in ({}, {"name": "a b", "target": "no", "which": "chosen", "id": "1"}):
            if await _exists(store, "news"):
                await store.configuration.delete_set("news")
            await make(store, "news", "hook")
            for each in await store.configuration.list_identities():
                await store.configuration.delete_identity(each.name)
            who = await store.configuration.create_identity("shop.example")
            with suppress(AlreadyExists):
                await store.contacts.create_list(ContactList("news", 1, 1))
            with suppress(AlreadyExists):
                await store.templates.create(EmailTemplate("news", "Hi", "text"))
            known = {"destination": "hook", "identity": who.id, "digest": mailing.hex()}
            there = path.format(name="news", list="news", **known)
            page = await send(admin, there, dict(filled))
            assert page.status_code in (200, 303), (path, page.text)  # at first, the guide
            again = await admin.get(str(page.url))
            assert (again.status_code, again.text) == (page.status_code, page.text), path


async def _mailing(store: Store) -> bytes:
    """Return the digest of a mailing of one email."""
    at = now_us()
    links = (Link(0, "https://a.example/"),)
    headers = (("Subject", "News"),)
    email = Message(new_id(at), at, "n@a.example", ("r@b.example",), headers=headers, links=links)
    await store.messages.add(email)
    await store.messages.finish(email.id, MessageState.SENT, email.recipients, at)
    while await store.search.index(100):
        pass
    return mailings_of(email)[0].digest


async def _exists(store: Store, name: str) -> bool:
    return name in (await store.configuration.current()).sets


def test_no_name_stands_where_a_word_could(console: Console) -> None:
    """A segment that people name is never beside a word of ours: none could be mistaken."""
    split = {each.path: each.path.strip("/").split("/") for each in routes(console)}
    for one, other in combinations(split, 2):
        for a, b in zip(split[one], split[other], strict=False):
            if a != b:
                assert "{" not in a + b, (one, other)
                break


async def test_anything_can_be_named_as_a_word_of_ours(
    store: Store, console: Console, admin: httpx.AsyncClient
) -> None:
    words = {s for each in routes(console) for s in each.path.split("/") if re.fullmatch(r"\w+", s)}
    assert {"delete", "test", "destinations", "configurations"} <= words
    for word in sorted(words):
        await make(store, word, word)
        await send(
            admin, f"/configurations/{word}", {"engagement": "on", "https_policy": "OPTIONAL"}
        )
        assert (await store.configuration.get_set(word)).engagement, word
    for word in sorted(words):
        page = f"/configurations/news/destinations/{word}"
        if not await _exists(store, "news"):
            await make(store, "news", *sorted(words))
        assert "Settings" in (await admin.get(page)).text
        changed = {"kind": "arn", "target": stream_arn("other"), "types": "CLICK"}
        assert "Saved." in (await send(admin, page, dict(changed))).text
        found = {d.name: d for d in (await store.configuration.get_set("news")).destinations}
        assert found[word].arn == stream_arn("other"), word
        await send(admin, f"{page}/delete")
        left = {d.name for d in (await store.configuration.get_set("news")).destinations}
        assert left == found.keys() - {word}
    for word in sorted(words):
        await send(admin, f"/configurations/{word}/delete")
        assert not await _exists(store, word)


async def test_what_was_typed_survives_a_refusal(store: Store, admin: httpx.AsyncClient) -> None:
    await make(store, "news", "hook")
    typed = "https://hooks.example/<&\"'>" + "k" * 900
    page = await send(
        admin,
        "/configurations/news/destinations",
        {"name": "a b", "kind": "webhook", "target": typed, "types": ["SEND"]},
    )
    text = unescape(page.text)
    assert "not a valid name" in text or "is not" in text
    assert 'name="name" value="a b"' in text
    assert f'name="target" value="{typed}"' in text
    assert '<option value="webhook" selected>' in text
    assert 'value="SEND" checked' in text
    assert 'value="CLICK" checked' not in text
    page = await send(
        admin, "/configurations/news/destinations/hook", {"kind": "arn", "target": "arn:nothing"}
    )
    assert 'value="arn:nothing"' in page.text
    assert 'value="CLICK" checked' not in page.text
    page = await send(
        admin, "/configurations/news", {"redirect_domain": "https://x/", "https_policy": "REQUIRE"}
    )
    assert 'value="https://x/"' in page.text
    assert '<option value="REQUIRE" selected>' in page.text
    again = await admin.get("/configurations/news")
    assert "https://x/" not in again.text, "only where the form has led"


async def test_the_rules_of_a_set_are_changed_together_or_not_at_all(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await make(store, "news")
    typed = {
        "no_track_hosts": "bank.example, *.Bank.example",
        "leave_unsubscribe": "on",
        "append": "utm_source=news&x={tag:y}",
        "archives": "@vault.example",
        "link_limit": "0",
        "thresholds": "burst=500ms, machine=2",
        "settle": "30",
    }
    page = await send(admin, "/configurations/news/rules", {**typed, "no_track_text": "(a"})
    assert "Missing close parenthesis" in page.text
    assert 'value="bank.example, *.Bank.example"' in page.text
    assert (await store.configuration.get_set("news")).rules == Rules()
    page = await send(admin, "/configurations/news/rules", {**typed, "no_track_text": "(?i)a"})
    assert 'name="no_track_hosts" value="bank.example *.bank.example"' in page.text
    assert (await store.configuration.get_set("news")).rules == Rules(
        no_track_hosts=("bank.example", "*.bank.example"),
        track_unsubscribe=False,
        no_track_text="(?i)a",
        append="utm_source=news&x={tag:y}",
        archives=("@vault.example",),
        link_limit=0,
        thresholds=Thresholds(burst=500),
    )
    assert (await store.configuration.get_set("news")).settle == 30
    assert 'name="thresholds" value="burst=500ms"' in page.text
    for wrong, why in (({"thresholds": "burst=soon"}, "is no time"), ({"settle": "601"}, "601")):
        page = await send(admin, "/configurations/news/rules", {**typed, **wrong})
        assert why in page.text
        assert (await store.configuration.get_set("news")).settle == 30
    page = await send(admin, "/configurations/news/rules", {"link_limit": "2000"})
    assert (await store.configuration.get_set("news")).rules is NO_RULES


async def test_what_is_too_long_for_a_cookie_is_kept_for_its_session_and_then_said(
    store: Store, console: Console, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await make(store, "news")
    long = "".join(chr(0x4E00 + n) for n in range(5000))
    page = await send(admin, "/configurations/news", {"redirect_domain": long})
    assert page.status_code == 200
    assert f'value="{long}"' in page.text
    viewer.cookies.set("clicktrail_said", admin.cookies["clicktrail_said"])
    assert long not in (await viewer.get(str(page.url))).text
    console.app.state.drafts = Drafts()  # as after a restart
    again = await admin.get(str(page.url))
    assert long not in again.text
    assert "is too long to be shown again" in again.text


def test_drafts_go_when_they_are_old_and_when_there_are_too_many() -> None:
    now = 0.0
    drafts = Drafts[str](10, lambda: now)
    first, second = drafts.keep("a", "first", 5), drafts.keep("a", "second", 5)
    assert (drafts.get("a", first), drafts.get("b", first)) == ("first", None)
    third = drafts.keep("b", "third", 5)
    assert [drafts.get("a", first), drafts.get("a", second)] == [None, "second"]
    now = LIFE
    assert drafts.get("b", third) is None
    drafts.keep("a", "fourth", 10)
    assert len(drafts._kept) == 1


@pytest.mark.parametrize("forged", ["0" * 64 + ".eJw", "x", "\u00fc", "." * 4000])
async def test_nobody_else_says_anything_on_a_page(admin: httpx.AsyncClient, forged: str) -> None:
    cookies = f"{_cookies(admin)}; clicktrail_said={forged}"
    headers = {b"cookie": cookies.encode("latin-1")}
    said = forged[:16].ljust(16, "0")
    page = await admin.get(f"/configurations?said={said}", headers=headers)
    assert page.status_code == 200
    assert 'class="message' not in page.text


async def test_what_one_session_was_told_is_nothing_to_another(
    store: Store, admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    page = await send(admin, "/configurations", {"name": "a b"})
    assert "not a valid name" in page.text
    viewer.cookies.set("clicktrail_said", admin.cookies["clicktrail_said"])
    told = await viewer.get(str(page.url))
    assert "not a valid name" not in told.text


def _cookies(client: httpx.AsyncClient) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())
