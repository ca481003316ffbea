"""Links that programs altered on their way lead on; what the seal does not confirm does not."""

import random
from urllib.parse import quote

import pytest

from clicktrail.base.ids import new_id
from clicktrail.errors import InvalidToken
from clicktrail.keys.token import PATH
from clicktrail.model import Click, Judgement, Request, Verdict
from clicktrail.publish.visitor_verdict import Judge, judgement
from clicktrail.redirect.altered import candidates
from support.publishing import BROWSER
from support.redirecting import MESSAGE, RING, URL, House, path_of, request, statuses

BEHIND = [
    *(".", ")", "'", "%27", ">", "%3E", "&x=1", "&amp;x=1", "/", "/index.html", "%0D%0A", "=20"),
    *("%2F", "%3Fa", "=", "==", "%00", "%FF", "%20and%20more", "%C2%A0", "%E2%80%8B."),
    *(";", ",", "]", "*", "!", '"', "%22", "%5D", "%E2%80%9D", "%E3%80%82", "=3D", "=0D=0A"),
]
INSIDE = [
    *("%20", "%0A", "%0D%0A", "%09", "=%0D%0A", "=%0A", "=", "=3D", "=3D%0D%0A", "%3D%0D%0A"),
    *("%E2%80%8B", "%E2%80%8D", "%EF%BB%BF", "%C2%AD", "%E2%81%A0", "%C2%A0", "=20", "=0d=0a"),
    "%0D%0A%20%20",
]


@pytest.mark.parametrize("behind", BEHIND)
async def test_what_stands_behind_a_link_is_left_out(house: House, behind: str) -> None:
    await expect(house, path_of() + behind)


@pytest.mark.parametrize("inside", INSIDE)
async def test_what_stands_in_a_link_is_left_out(house: House, inside: str) -> None:
    path = path_of()
    await expect(house, path[:30] + inside + path[30:])
    # Each line of a long link was broken; and a full stop came behind it.
    pieces = [path[at : at + 20] for at in range(3, len(path), 20)]
    await expect(house, PATH + inside.join(pieces) + ".")


async def expect(house: House, path: str) -> None:
    answer = await house.say(request(path))
    assert statuses(answer) == [302], path
    assert f"Location: {URL}\r\n".encode() in answer
    [entry] = await house.journal.read(2, 0)
    assert (entry.click.message_id, entry.click.url) == (MESSAGE, URL)
    assert entry.click.request & Request.ALTERED
    await house.journal.commit([entry])


async def test_a_good_link_is_not_altered_nor_is_one_whose_letters_are_escaped(
    house: House,
) -> None:
    for path in (path_of(), path_of() + "?x=1", path_of().replace("A", "%41")):
        assert statuses(await house.say(request(path))) == [302]
    assert not any(click.request & Request.ALTERED for click in await house.clicks())


async def test_an_altered_link_is_none_to_a_program_that_fetches_ahead(house: House) -> None:
    assert statuses(await house.say(request(path_of() + ".", "Purpose: prefetch"))) == [503]
    assert statuses(await house.say(request(path_of() + ".", method="HEAD"))) == [302]
    [click] = await house.clicks()
    assert click.request & Request.HEAD


@pytest.mark.parametrize("wrong", ["A", "%41", "-", "a."])
async def test_letters_are_not_guessed(house: House, wrong: str) -> None:
    for path in (path_of() + wrong, path_of().swapcase(), path_of()[:-1] + "."):
        assert statuses(await house.say(request(path))) == [404]
    assert await house.clicks() == []


def test_a_path_is_tried_a_few_times_whatever_it_holds() -> None:
    chance = random.Random(3)
    pieces = ["A" * 50, "=", "=3D", "=20", "\u200b", " ", "\r\n", ".", "%", "Z", "\udcff", "=3d"]
    opened = 0
    for _ in range(5_000):
        text = "".join(chance.choices(pieces, k=chance.randrange(30)))
        tried = list(candidates(quote(text, errors="surrogateescape").encode()))
        assert len(tried) <= 3
        assert len(tried) == len(set(tried))
        for token in tried:
            with pytest.raises(InvalidToken):
                RING.open(token)
            opened += 1
    assert opened > 1_000


def test_that_a_link_was_altered_is_told_and_says_nothing_of_who_clicked() -> None:
    at = 1_790_000_000_000_000
    click = Click(new_id(at), "m", 0, URL, at, "ip", BROWSER, Request.ALTERED)
    signs = Judge().signs(click, None)
    assert judgement(signs) == Judgement(Verdict.HUMAN, ("altered",))
    click.user_agent = ""
    signs = Judge().signs(click, None)
    assert judgement(signs) == Judgement(Verdict.SUSPECT, ("no-user-agent", "altered"))
