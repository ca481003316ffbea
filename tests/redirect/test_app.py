"""The redirect over real sockets: behaviour § 6, row by row."""

import asyncio
import ipaddress
import random
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from structlog.testing import capture_logs

from clicktrail.base.ids import ID_LENGTH, now_us
from clicktrail.errors import JournalUnavailable
from clicktrail.journal.memory import MemoryJournal
from clicktrail.keys.token import Key, KeyRing, Opened
from clicktrail.model import Click, Request
from clicktrail.redirect import app
from support.redirecting import MESSAGE, RING, URL, House, house_in, path_of, request, statuses

HEADERS_OF_A_REDIRECT = {
    "location": URL,
    "cache-control": "no-store",
    "x-robots-tag": "noindex",
    "x-content-type-options": "nosniff",
    "content-type": "text/html; charset=utf-8",
}


async def test_a_click_is_logged_and_the_person_sent_on(house: House) -> None:
    before = now_us()
    response = await house.http.get(path_of(link=3), headers={"User-Agent": "Firefox/1"})
    assert response.status_code == 302
    assert HEADERS_OF_A_REDIRECT.items() <= dict(response.headers).items()
    assert f'<a href="{URL.replace("&", "&amp;")}">' in response.text
    [click] = await house.clicks()
    assert (click.message_id, click.link, click.url) == (MESSAGE, 3, URL)
    assert (click.ip, click.user_agent) == ("127.0.0.1", "Firefox/1")
    assert before <= click.clicked_at <= now_us()
    assert len(click.event_id) == ID_LENGTH


async def test_each_click_on_the_same_link_is_one_more_click(house: House) -> None:
    path = path_of()
    for _ in range(3):
        assert (await house.http.get(path)).status_code == 302
    clicks = await house.clicks()
    assert len(clicks) == len({click.event_id for click in clicks}) == 3


async def test_nothing_tells_of_the_server_or_of_cookies(house: House) -> None:
    response = await house.http.get(path_of())
    assert not {"server", "set-cookie", "x-powered-by", "etag"} & set(response.headers)
    assert response.headers["date"].endswith(" GMT")


async def test_head_has_the_same_headers_and_is_no_click(house: House) -> None:
    path = path_of()
    head = await house.http.head(path)
    get = await house.http.get(path)
    assert head.status_code == get.status_code == 302
    del head.headers["date"], get.headers["date"]
    assert head.headers == get.headers
    assert head.content == b""
    looked, clicked = await house.clicks()
    assert looked.request & Request.HEAD
    assert not clicked.request & Request.HEAD
    assert house.app.clicks == 1


@pytest.mark.parametrize(
    "header",
    [
        "Sec-Purpose: prefetch",
        "Sec-Purpose: prefetch;prerender",
        "sec-purpose:Prefetch;anonymous-client-ip",
        "Purpose: prefetch",
        "X-Moz: prefetch",
    ],
)
async def test_a_prefetch_is_sent_away_without_a_click(house: House, header: str) -> None:
    answer = await house.say(request(None, header))
    assert statuses(answer) == [503]
    assert b"Cache-Control: no-store\r\n" in answer
    assert b"Location" not in answer
    assert await house.clicks() == []
    assert statuses(await house.say(request())) == [302]


async def test_the_word_prefetch_elsewhere_is_no_prefetch(house: House) -> None:
    answer = await house.say(request(path_of() + "?prefetch", "User-Agent: prefetcher"))
    assert statuses(answer) == [302]
    assert len(await house.clicks()) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_other_methods_are_told_which_ones_there_are(house: House, method: str) -> None:
    for path in (path_of(), "/", "/c/x"):
        response = await house.http.request(method, path)
        assert response.status_code == 405
        assert response.headers["allow"] == "GET, HEAD"
    assert await house.clicks() == []


@pytest.mark.parametrize(
    "path",
    ["/", "/c", "/c/", "/c/x", "/C/x", "/index.html", "/c/../c/", "/admin?x=/c/", "//c/x"],
)
async def test_all_else_is_not_found(house: House, path: str) -> None:
    response = await house.http.get(path)
    assert response.status_code == 404
    assert response.headers["cache-control"] == "no-store"
    assert "This link does not work" in response.text
    assert await house.clicks() == []


async def test_a_wrong_token_reflects_nothing_of_the_request(house: House) -> None:
    marks = ["<script>alert(1)</script>", "mark-in-path", "mark-in-query", "mark-in-agent"]
    answer = await house.say(
        request(
            f"/c/{marks[1]}{quote(marks[0])}?q={marks[2]}",
            f"User-Agent: {marks[3]}",
            f"Referer: http://x/{marks[0]}",
        )
    )
    assert statuses(answer) == [404]
    assert not any(mark.encode() in answer for mark in marks)
    assert b"Content-Security-Policy: default-src 'none'" in answer


async def test_a_query_that_somebody_appended_does_not_matter(house: House) -> None:
    for suffix in ("?utm_source=x", "?fbclid=IwAR0&amp=1", "?", "?a?b=/c/"):
        response = await house.http.get(path_of() + suffix)
        assert response.headers["location"] == URL
    assert len(await house.clicks()) == 4


async def test_escaped_letters_are_the_same_letters(house: House) -> None:
    path = path_of()
    escaped = "/c/" + "".join(f"%{ord(c):02{'xX'[i % 2]}}" for i, c in enumerate(path[3:]))
    assert statuses(await house.say(request(escaped))) == [302]


async def test_the_absolute_form_of_a_request_is_understood(house: House) -> None:
    path = path_of()
    assert statuses(await house.say(request("http://x.example" + path))) == [302]
    assert statuses(await house.say(request("ftp://x.example" + path))) == [404]


async def test_robots_are_sent_away_and_icons_are_cheap(house: House) -> None:
    robots = await house.http.get("/robots.txt")
    assert (robots.status_code, robots.text) == (200, "User-agent: *\nDisallow: /\n")
    icon = await house.http.get("/favicon.ico")
    assert (icon.status_code, icon.content) == (404, b"")
    assert "max-age" in icon.headers["cache-control"]
    assert (await house.http.head("/robots.txt")).headers["content-length"] == "26"


def forgeries(count: int) -> list[str]:
    """Tokens that are cut, damaged, of another house, or nonsense."""
    chance = random.Random(1)
    other = KeyRing([Key(1, bytes(64), 0)])
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    made: list[str] = []
    while len(made) < count:
        url = f"https://example.com/{chance.getrandbits(40)}?{'x' * chance.randrange(60)}"
        token = RING.seal(MESSAGE, chance.randrange(40), url)
        at = chance.randrange(len(token))
        match len(made) % 5:
            case 0:
                bad = token[:at]
            case 1:
                bad = token[:at] + chance.choice(letters) + token[at + 1 :]
            case 2:
                bad = token + chance.choice(letters)
            case 3:
                bad = other.seal(MESSAGE, 0, url)
            case _:
                bad = "".join(chance.choices(letters, k=chance.randrange(300)))
        if bad != token:
            made.append(bad)
    return made


async def test_ten_thousand_forged_tokens_are_all_not_found(house: House) -> None:
    reader, writer = await asyncio.open_connection(house.address.host, house.address.port)
    found = 0
    tokens = forgeries(10_000)
    for start in range(0, len(tokens), 50):
        part = tokens[start : start + 50]
        writer.write(b"".join(f"HEAD /c/{t} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for t in part))
        for _ in part:
            answer = await reader.readuntil(b"\r\n\r\n")
            found += answer.startswith(b"HTTP/1.1 404 ")
            assert b"ocation:" not in answer
    writer.close()
    assert found == house.app.not_found == len(tokens)
    assert await house.clicks() == []


async def test_a_retired_keys_link_is_not_found_and_an_old_keys_link_works(
    tmp_path: Path,
) -> None:
    first, second = Key(1, bytes(range(64)), 0), Key(2, bytes(range(64, 128)), 0)
    old, both = KeyRing([first]), KeyRing([first, second])
    path = "/c/" + old.seal(MESSAGE, 0, URL)
    async with house_in(tmp_path / "a", ring=both) as house:
        assert (await house.http.get(path)).status_code == 302
    async with house_in(tmp_path / "b", ring=both.without(1)) as house:
        assert (await house.http.get(path)).status_code == 404


async def test_the_longest_token_fits(house: House) -> None:
    chance = random.Random(2)
    url = "https://example.com/" + "".join(
        chance.choices("0123456789abcdefghijklmnopqrstuvwxyz-_.~ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=8100)
    )
    answer = await house.say(request(path_of(url)))
    assert f"Location: {url}\r\n".encode() in answer


async def test_user_agents_come_as_they_are_and_cut_at_1_kib(house: House) -> None:
    agents = ["Grüße/1 ✓".encode(), b"caf\xe9/2 \xff", b"x" * 3000, b"", b"\t padded \t"]
    for agent in agents:
        head = f"GET {path_of()} HTTP/1.1\r\nHost: x\r\nUSER-agent:".encode()
        assert statuses(await house.say(head + agent + b"\r\n\r\n")) == [302]
    assert statuses(await house.say(request())) == [302]  # none at all
    logged = [click.user_agent for click in await house.clicks()]
    assert logged == ["Grüße/1 ✓", "caf\ufffd/2 \ufffd", "x" * 1024, "", "padded", ""]


async def test_the_client_is_the_peer_unless_a_trusted_proxy_says_otherwise(
    house: House, tmp_path: Path
) -> None:
    lie = "X-Forwarded-For: 203.0.113.9"
    await house.say(request(None, lie))
    assert [click.ip for click in await house.clicks()] == ["127.0.0.1"]
    networks = [ipaddress.ip_network("127.0.0.0/8")]
    async with house_in(tmp_path / "behind", trusted=networks) as behind:
        await behind.say(request(None, lie, "X-Forwarded-For: 198.51.100.7, 127.0.0.3"))
        assert [click.ip for click in await behind.clicks()] == ["198.51.100.7"]


class BrokenJournal(MemoryJournal):
    """Fails, as a full disk makes the spool fail; or in a way that nobody has thought of."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def append(self, *clicks: Click) -> None:
        raise self.error


@pytest.mark.parametrize("error", [JournalUnavailable("the disk is full"), RuntimeError("a bug")])
async def test_people_are_sent_on_even_when_a_click_cannot_be_logged(
    tmp_path: Path, error: Exception
) -> None:
    async with house_in(tmp_path, journal=BrokenJournal(error)) as house:
        for number in range(1, 4):
            assert (await house.http.get(path_of())).headers["location"] == URL
            assert (house.app.clicks, house.app.unlogged) == (0, number)


async def test_clicks_that_cannot_be_logged_are_told_by_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "TELL_SECONDS", 3600.0)
    journal = BrokenJournal(JournalUnavailable("the disk is full"))
    async with house_in(tmp_path, journal=journal) as house:
        with capture_logs() as lines:
            for _ in range(20):
                assert (await house.http.get(path_of())).headers["location"] == URL
            assert [line["count"] for line in lines] == [1]
            await house.app.drain()
        assert [line["count"] for line in lines] == [1, 19]


async def test_a_bug_costs_one_request_and_not_the_house(tmp_path: Path) -> None:
    class Ring:
        def open(self, token: str) -> Opened:
            if token == "bug":
                raise ZeroDivisionError
            return RING.open(token)

    async with house_in(tmp_path, ring=Ring()) as house:
        answers = await house.say(b"GET /c/bug HTTP/1.1\r\n\r\n")
        assert statuses(answers) == [500]
        assert (await house.http.get(path_of())).status_code == 302


async def test_many_people_at_once_are_all_logged_and_sent_on(house: House) -> None:
    async def person(number: int) -> None:
        url = f"https://example.com/{number}"
        async with httpx.AsyncClient(base_url=str(house.http.base_url)) as http:
            for link in range(5):
                response = await http.get(path_of(url, link))
                assert response.headers["location"] == url

    await asyncio.gather(*(person(number) for number in range(40)))
    clicks = await house.clicks()
    assert len(clicks) == house.app.clicks == 200
    assert len({(click.url, click.link) for click in clicks}) == 200
