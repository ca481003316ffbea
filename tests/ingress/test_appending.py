"""Parameters that every URL of an email gets, for an email of very many."""

from pathlib import Path

from clicktrail.ingress.rewriting import APPENDED_TOO_MUCH
from support.mailroom import TRACKED, mailroom

MAX_SIZE = 200_000


async def test_links_get_no_more_parameters_than_an_email_has_room_for(tmp_path: Path) -> None:
    rule = "a=" + "x" * 900
    html = '<a href="https://a.example">x</a>\r\n' * 3000
    head = "From: news@example.com\r\nContent-Type: text/html\r\n\r\n"
    async with mailroom(tmp_path, max_size=MAX_SIZE) as room:
        await room.store.configuration.update_set(TRACKED.name, rules={"append": rule})
        async with room.client() as client:
            message = await room.message(await client.submit((head + html).encode()))
    assert len(message.links) == 3000
    added = sum(len(link.url) - len("https://a.example") for link in message.links)
    assert MAX_SIZE - 1000 < added <= MAX_SIZE
    assert APPENDED_TOO_MUCH in message.warnings
    few = [link.url for link in message.links if link.url.endswith(rule)]
    assert [link.url for link in message.links[: len(few)]] == few
