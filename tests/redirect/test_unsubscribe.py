"""The form that unsubscribes: read whole, never more than it, and answered when it is durable."""

import asyncio
import random
import re
from pathlib import Path

import pytest

from clicktrail.errors import JournalUnavailable
from clicktrail.journal.memory import MemoryJournal
from clicktrail.model import UNSUBSCRIBE_LINK, Click, Orders, Subscription
from clicktrail.model.orders import ListTopics
from clicktrail.redirect.changes import Changes
from clicktrail.redirect.forms import FORM_LIMIT, is_one_click
from clicktrail.redirect.server import Patience
from support.redirecting import MESSAGE, RING, House, house_in, request, statuses
from support.service import PATIENCE

TEXT = Subscription("news", "sport", "reader@example.org").packed()
PATH = "/u/" + RING.seal(MESSAGE, UNSUBSCRIBE_LINK, TEXT)
FORM = b"List-Unsubscribe=One-Click"
TYPE = "Content-Type: application/x-www-form-urlencoded"
HIDDEN = request("/robots.txt")


def post(body: bytes = FORM, *headers: str) -> bytes:
    lines = [TYPE, *(headers or (f"Content-Length: {len(body)}",))]
    head = "\r\n".join([f"POST {PATH} HTTP/1.1", "Host: x", *lines, "", ""])
    return head.encode() + body


CHUNKED = b"1\r\nL\r\n19;x=y\r\nist-Unsubscribe=One-Click\r\n0\r\nX: y\r\n\r\n"


async def unsubscribed(house: House) -> list[Click]:
    return [click for click in await house.clicks() if click.link == UNSUBSCRIBE_LINK]


@pytest.mark.parametrize(
    "said",
    [
        [post()],
        [post()[:-1], post()[-1:]],
        [post()[:20], post()[20:-26], *(bytes([each]) for each in FORM)],
        [post(CHUNKED, "Transfer-Encoding: chunked")],
        [post(FORM + b"\r\n")],
    ],
)
async def test_the_form_is_read_however_it_comes(house: House, said: list[bytes]) -> None:
    answer = await house.say(*said)
    assert statuses(answer) == [200]
    assert b"\r\nConnection: close\r\n" in answer
    [click] = await unsubscribed(house)
    assert (click.message_id, click.url, click.ip, click.user_agent) == (MESSAGE, TEXT, "", "")


async def test_who_waits_for_a_word_before_the_form_gets_it(house: House) -> None:
    head, form = post(FORM, "Content-Length: 26", "Expect: 100-continue"), FORM
    assert statuses(await house.say(head[: -len(form)], form)) == [100, 200]
    assert len(await unsubscribed(house)) == 1


@pytest.mark.parametrize(
    "body",
    [
        FORM + HIDDEN,
        FORM + post(),
        FORM + b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde" + HIDDEN,
        FORM + b"\x00" * 5000,
    ],
)
async def test_nothing_behind_the_form_is_answered(house: House, body: bytes) -> None:
    answer = await house.say(post(body, f"Content-Length: {len(FORM)}"))
    assert statuses(answer) == [200]
    assert b"\r\nConnection: close\r\n" in answer
    assert len(await unsubscribed(house)) == 1


async def test_nothing_behind_chunks_is_answered(house: House) -> None:
    said = post(CHUNKED + HIDDEN, "Transfer-Encoding: chunked")
    answer = await house.say(said)
    assert statuses(answer) == [200]
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (post(b"x" * (FORM_LIMIT + 1)), 413),
        (post(b"x" * FORM_LIMIT), 400),
        (post(b"1000\r\n" + b"x" * 4096 + b"\r\n1\r\nx", "Transfer-Encoding: chunked"), 413),
        (post(b"zz\r\n", "Transfer-Encoding: chunked"), 400),
        (post(FORM, "Content-Length: 26", "Transfer-Encoding: chunked"), 400),
        (post(b"", "Content-Length: 0"), 400),
        (post(b"", "X: y"), 400),
    ],
)
async def test_another_form_unsubscribes_nobody(house: House, said: bytes, status: int) -> None:
    assert statuses(await house.say(said)) == [status]
    assert await house.clicks() == []


async def test_half_a_form_unsubscribes_nobody(house: House) -> None:
    assert await house.say(post()[:-1]) == b""  # and hung up
    assert await house.clicks() == []


async def test_who_is_slow_with_the_form_is_hung_up_on(tmp_path: Path) -> None:
    patience = Patience(request=0.2, idle=0.2, ending=0.2, look=0.05)
    async with house_in(tmp_path, patience=patience) as house, asyncio.timeout(PATIENCE):
        assert await house.say(post()[:-1], then_close=False) in (b"", b"(reset)")
        assert await house.clicks() == []


class BrokenJournal(MemoryJournal):
    async def append(self, *clicks: Click) -> None:
        raise JournalUnavailable("the disk is full")


async def test_what_cannot_be_logged_is_to_be_tried_again(tmp_path: Path) -> None:
    async with house_in(tmp_path, journal=BrokenJournal()) as house:
        answer = await house.say(post())
        assert statuses(answer) == [503]
        assert b"Please try again" in answer
        assert (house.app.unsubscribes, house.app.unlogged) == (0, 1)


@pytest.mark.parametrize(
    ("language", "word"),
    [("de-AT", "Abmelden"), ("ru", "Отписаться"), ("fr", "Se désinscrire"), ("es", "baja")],
)
async def test_the_page_speaks_the_readers_language(house: House, language: str, word: str) -> None:
    answer = await house.say(request(PATH, f"Accept-Language: {language}"))
    assert word in answer.decode()


def test_a_form_of_any_bytes_is_read_to_an_end() -> None:
    chance = random.Random(5)
    parts = (
        b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
        b"One-Click\r\n--x--\r\n"
    )
    kind = b"multipart/form-data; boundary=x"
    assert is_one_click(kind, parts)
    assert is_one_click(b'Multipart/Form-Data; charset=utf-8; boundary="x"', parts)
    assert not is_one_click(kind, parts.replace(b"--x--", b"") + parts)
    for _ in range(3000):
        body, name = bytearray(parts), bytearray(kind)
        for _ in range(chance.randrange(1, 6)):
            each = chance.choice((body, name))
            each[chance.randrange(len(each))] = chance.choice(b"\0:;=\"*%'<>()?-x\\/ \t\xff")
        assert is_one_click(bytes(name), bytes(body)) in (True, False)


@pytest.mark.parametrize(
    "kind",
    [
        b"boundary*=undefined''x",
        b"boundary*=idna''x",
        b"boundary*" + b"9" * 5000 + b"=x",
        b"boundary*" + b"9" * 5000 + b"*=x",
        b"boundary=" + b"x" * 5000,
        b'boundary=""',
    ],
)
def test_a_boundary_that_is_none_is_that_of_no_form(kind: bytes) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n'
    assert not is_one_click(b"multipart/form-data; " + kind, form + b"--x--\r\n")


@pytest.mark.parametrize(
    "part",
    [
        b'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click',
        b"content-disposition: FORM-DATA; name=List-Unsubscribe\r\n\r\nOne-Click",
        b'Content-Type: text/plain\r\nContent-Disposition: form-data;\r\n name="List-Unsubscribe"'
        b"\r\nContent-Length: 9\r\n\r\nOne-Click\r\n",
        b'Content-Disposition: form-data; name="List-Unsubscribe"\n\nOne-Click',
    ],
)
def test_the_form_is_known_in_parts_as_programs_write_them(part: bytes) -> None:
    body = b"Preamble\r\n--a b\r\n%b\r\n--a b--\r\n" % part
    assert is_one_click(b'multipart/form-data; charset=utf-8; boundary="a b"', body)
    twice = body.replace(b"Preamble", b"\r\n--a b\r\n" + part)
    assert not is_one_click(b'multipart/form-data; boundary="a b"', twice)
    other = body.replace(b"One-Click", b"One-Click more")
    assert not is_one_click(b'multipart/form-data; boundary="a b"', other)


TOPICS = (("sport", "Sport <&>"), ("news", "News"), ("art", "Art"))
LISTS = Changes(Orders("1", lists=(ListTopics("news", TOPICS),)))


async def test_a_list_with_topics_has_a_box_for_each_and_for_all(house: House) -> None:
    assert b"checkbox" not in await house.say(request(PATH))
    house.app.follow(LISTS)
    page = (await house.say(request(PATH, "Accept-Language: de"))).decode()
    boxes = re.findall(r'name="(topic|all)" value="(\w+)"( checked)?> (.*?)</label>', page)
    assert boxes == [
        ("topic", "sport", " checked", "Sport &lt;&amp;&gt;"),
        ("topic", "news", "", "News"),
        ("topic", "art", "", "Art"),
        ("all", "1", "", "Alle diese E-Mails"),
    ]
    whole = "/u/" + RING.seal(MESSAGE, UNSUBSCRIBE_LINK, Subscription("news", "", "a@b.c").packed())
    assert re.findall(rb'name="(\w+)"[^>]*checked', await house.say(request(whole))) == [b"all"]
    gone = "/u/" + RING.seal(MESSAGE, UNSUBSCRIBE_LINK, Subscription("news", "x", "a@b.c").packed())
    assert b"checkbox" not in await house.say(request(gone)), "not all, but a topic was meant"
    assert await unsubscribed(house) == [], "looking unsubscribes nobody"


@pytest.mark.parametrize(
    ("form", "topics"),
    [
        (b"choice=1&topic=news&topic=art&topic=news", ["news", "art"]),
        (b"choice=1&topic=sport", ["sport"]),
        (b"choice=1&topic=news&all=1", [""]),
        (b"choice=1", []),
        (b"choice=1&topic=news&topic=gone", []),
        (FORM, ["sport"]),
    ],
)
async def test_what_is_ticked_is_logged_before_the_answer(
    house: House, form: bytes, topics: list[str]
) -> None:
    house.app.follow(LISTS)
    answer = await house.say(post(form))
    assert statuses(answer) == [200]
    assert (b"checkbox" in answer) is (not topics)
    wishes = [Subscription.unpacked(click.url) for click in await unsubscribed(house)]
    assert wishes == [Subscription("news", topic, "reader@example.org") for topic in topics]
    assert house.app.unsubscribes == len(topics)


@pytest.mark.parametrize(
    "form",
    [
        *(b"choice=1&topic=", b"choice=1&topic=news&x=1", b"topic=news"),
        b"choice=1&List-Unsubscribe=One-Click",
        b"choice=1" + b"&topic=news" * 50,
    ],
)
async def test_other_forms_store_nothing(house: House, form: bytes) -> None:
    house.app.follow(LISTS)
    assert statuses(await house.say(post(form))) == [400]
    assert await unsubscribed(house) == []
