"""What mail servers say to one another: delivery reports, origins, priorities, TLS."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from pathlib import Path

import pytest
import uvloop

from clicktrail.ingress.smtp.xforward import OFFER
from clicktrail.relay import smarthost
from clicktrail.settings.kinds import Address
from support.certificates import make_certificate
from support.hostile_smarthost import HostileSmarthost
from support.mailroom import Client, mailroom
from support.service import PATIENCE

MESSAGE = b"From: a@example.com\r\nSubject: x\r\n\r\nx\r\n"
OFFERS = ("8BITMIME", "SMTPUTF8", "SIZE 10000000", "DSN", "MT-PRIORITY", "XFORWARD NAME ADDR PROTO")
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


async def submit(client: Client, mail: str, rcpt: str = "RCPT TO:<b@example.org>") -> str:
    await client.say("EHLO me", mail, rcpt, "DATA")
    return await client.say(MESSAGE + b".")


@pytest.mark.parametrize("offers", [OFFERS, ("SIZE 1000",)])
async def test_delivery_reports_are_offered_where_the_smarthost_makes_them(
    tmp_path: Path, offers: tuple[str, ...]
) -> None:
    async with (
        mailroom(tmp_path, HostileSmarthost(offers=offers)) as room,
        room.client() as client,
    ):
        offered = (await client.say("EHLO me")).split("\n")
        assert ("250-DSN" in offered or "250 DSN" in offered) == ("DSN" in offers)
        mail = "MAIL FROM:<a@example.com> RET=hdrs ENVID=QQ+2B314159"
        rcpt = "RCPT TO:<b@example.org> NOTIFY=success,delay ORCPT=rfc822;b+2Bc@example.org"
        # Who asks where it is not offered is not refused: the reports are just not made.
        assert (await submit(client, mail, rcpt)).startswith("250")
    [taken] = room.hostile.taken
    asked = "DSN" in offers
    assert taken.mail == "MAIL FROM:<a@example.com>" + " RET=HDRS ENVID=QQ+2B314159" * asked
    wanted = " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bc@example.org"
    assert taken.rcpts == ["RCPT TO:<b@example.org>" + wanted * asked]


@pytest.mark.parametrize(
    "line",
    [
        "MAIL FROM:<a@example.com> RET=SOME",
        "MAIL FROM:<a@example.com> ENVID=a+b",
        "MAIL FROM:<a@example.com> ENVID=" + "x" * 101,
        "RCPT TO:<b@example.org> NOTIFY=NEVER,DELAY",
        "RCPT TO:<b@example.org> NOTIFY=DELAY,DELAY",
        "RCPT TO:<b@example.org> NOTIFY=",
        "RCPT TO:<b@example.org> ORCPT=b@example.org",
        "RCPT TO:<b@example.org> ORCPT=rfc822;",
        "RCPT TO:<b@example.org> ORCPT=é;b@example.org",
        b"RCPT TO:<b@example.org> ORCPT=utf-8;\xff@example.org",
    ],
)
async def test_malformed_parameters_of_delivery_reports_are_refused(
    tmp_path: Path, line: str | bytes
) -> None:
    async with mailroom(tmp_path, HostileSmarthost(offers=OFFERS)) as room, room.client() as client:
        begun = () if line[:1] == "M" else ("MAIL FROM:<> SMTPUTF8",)
        lines = ["EHLO me", *begun, line]
        assert (await client.say(*lines)).startswith("501 5.5.4 ")


async def test_a_priority_is_passed_on_where_the_smarthost_knows_priorities(tmp_path: Path) -> None:
    mail = "MAIL FROM:<a@example.com> MT-PRIORITY=-3"
    async with mailroom(tmp_path, HostileSmarthost(offers=OFFERS)) as room, room.client() as client:
        assert (await submit(client, mail)).startswith("250")
        assert room.hostile.taken[0].mail == mail
        assert (await client.say("RSET", mail.replace("-3", "10"))).startswith("555 5.5.4 ")
    other = tmp_path / "other"
    other.mkdir()
    async with mailroom(other, HostileSmarthost()) as room, room.client() as client:
        assert (await client.say("EHLO me", mail)).startswith("555 5.5.4 ")


async def test_who_gave_the_email_to_a_trusted_server_is_kept_and_passed_on(tmp_path: Path) -> None:
    hostile = HostileSmarthost(offers=OFFERS)
    async with (
        mailroom(tmp_path, hostile, trusted_proxies=LOOPBACK) as room,
        room.client() as client,
    ):
        assert OFFER in await client.say("EHLO me")
        words = "XFORWARD NAME=shop.example ADDR=IPV6:2001:db8::7 PROTO=ESMTP"
        assert await client.say(words) == "250 2.0.0 Ok"
        assert await client.say("XFORWARD HELO=the+2Bshop SOURCE=REMOTE") == "250 2.0.0 Ok"
        await client.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA")
        kept = await room.message(await client.say(MESSAGE + b"."))
        assert kept.source_ip == "2001:db8::7"
        assert words in hostile.commands  # what the smarthost asks for, and no more
        assert b"Received: from the+shop ([IPv6:2001:db8::7])" in hostile.taken[0].message
        # It is told anew for each email.
        await client.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA")
        kept = await room.message(await client.say(MESSAGE + b"."))
        assert kept.source_ip == "127.0.0.1"
        assert len([each for each in hostile.commands if each.startswith("XFORWARD")]) == 1


async def test_an_email_goes_on_where_the_smarthost_does_not_take_its_origin(
    tmp_path: Path,
) -> None:
    hostile = HostileSmarthost({"XFORWARD": "550 5.7.0 not from you"}, offers=OFFERS)
    async with (
        mailroom(tmp_path, hostile, trusted_proxies=LOOPBACK) as room,
        room.client() as client,
    ):
        await client.say("EHLO me", "XFORWARD ADDR=192.0.2.1")
        assert (await submit(client, "MAIL FROM:<a@example.com>")).startswith("250 2.0.0 ")


async def test_the_origin_of_a_refused_email_is_not_that_of_the_next(tmp_path: Path) -> None:
    hostile = HostileSmarthost({"MAIL": "550 5.7.1 not this one"}, offers=OFFERS)
    async with (
        mailroom(tmp_path, hostile, trusted_proxies=LOOPBACK) as room,
        room.client() as client,
    ):
        await client.say("EHLO me", "XFORWARD ADDR=192.0.2.1", "MAIL FROM:<a@example.com>")
        assert (await client.say("RCPT TO:<b@example.org>")).startswith("550 5.7.1 ")
        assert hostile.commands[-1] == "RSET"


async def test_an_origin_cannot_add_lines_to_an_email(tmp_path: Path) -> None:
    async with mailroom(tmp_path, trusted_proxies=LOOPBACK) as room, room.client() as client:
        await client.say("EHLO me", "XFORWARD ADDR=IPV6:fe80::1%+0D+0ABcc:+20b@example.com")
        await client.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA")
        kept = await room.message(await client.say(MESSAGE + b"."))
        assert kept.source_ip == "fe80::1"
        assert b"Bcc" not in room.hostile.taken[0].message


async def test_an_unknown_origin_is_that_of_the_connection(tmp_path: Path) -> None:
    async with mailroom(tmp_path, trusted_proxies=LOOPBACK) as room, room.client() as client:
        await client.say("EHLO me", "XFORWARD ADDR=[UNAVAILABLE] HELO=[TEMPUNAVAIL]")
        await client.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA")
        kept = await room.message(await client.say(MESSAGE + b"."))
        assert kept.source_ip == "127.0.0.1"
        assert b"Received: from me ([127.0.0.1])" in room.hostile.taken[0].message


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("XFORWARD", "501"),
        ("XFORWARD NAME", "501"),
        ("XFORWARD NAME=", "501"),
        ("XFORWARD COLOR=red", "501"),
        ("XFORWARD NAME=a\x7f", "501"),
        ("XFORWARD NAME=" + "x" * 256, "501"),
    ],
)
async def test_a_malformed_origin_is_refused(tmp_path: Path, line: str, code: str) -> None:
    async with mailroom(tmp_path, trusted_proxies=LOOPBACK) as room, room.client() as client:
        assert (await client.say("EHLO me", line)).startswith(code)
        assert (await client.say("MAIL FROM:<>", "XFORWARD NAME=a")).startswith("503")


async def test_strangers_are_not_believed_where_they_have_an_email_from(tmp_path: Path) -> None:
    async with mailroom(tmp_path, trusted_proxies=()) as room, room.client() as client:
        assert "XFORWARD" not in await client.say("EHLO me")
        assert (await client.say("XFORWARD ADDR=192.0.2.1")).startswith("550 5.7.1 ")


async def test_tls_alone_is_promised_only_where_the_smarthost_promises_it(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    hostile = HostileSmarthost(offers=(*OFFERS, "REQUIRETLS"))
    listen = Address("127.0.0.1", 0)
    async with mailroom(
        tmp_path, hostile, certificate=certificate, key=key, tls_listen=listen
    ) as room:
        async with room.client() as plain:
            assert "REQUIRETLS" not in await plain.say("EHLO me")
            assert (await plain.say("MAIL FROM:<> REQUIRETLS")).startswith("555")
        assert room.server.tls_address is not None
        context = ssl.create_default_context(cafile=certificate)
        place = room.server.tls_address
        client = Client(
            *await asyncio.open_connection(
                place.host, place.port, ssl=context, server_hostname="localhost"
            )
        )
        assert (await client.reply()).startswith("220 ")
        offered = await client.say("EHLO me")
        assert "REQUIRETLS" in offered
        assert "STARTTLS" not in offered
        # Its own connection to us is in the clear: the promise cannot be kept.
        answer = await client.say("MAIL FROM:<a@example.com> REQUIRETLS", "RCPT TO:<b@example.org>")
        assert answer.startswith("550 5.7.30 ")
        await client.say("RSET")
        assert (await submit(client, "MAIL FROM:<a@example.com>")).startswith("250 2.0.0 ")
        assert b" with ESMTPS id " in room.hostile.taken[0].message
        await client.close()


def test_tls_from_the_start_begins_with_what_came_before_the_connection_was_seen(
    tmp_path: Path,
) -> None:
    certificate, key = make_certificate(tmp_path)
    listen = Address("127.0.0.1", 0)

    async def hello() -> None:
        async with mailroom(tmp_path, certificate=certificate, key=key, tls_listen=listen) as room:
            place = room.server.tls_address
            assert place is not None
            context = ssl.create_default_context(cafile=certificate)
            said = ssl.MemoryBIO()
            with contextlib.suppress(ssl.SSLWantReadError):
                context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost").do_handshake()
            with socket.create_connection((place.host, place.port)) as early:
                early.sendall(said.read())  # the server is this process: it has not looked yet
                early.setblocking(False)
                async with asyncio.timeout(PATIENCE):
                    answer = await asyncio.get_running_loop().sock_recv(early, 5)
            assert answer[:2] == b"\x16\x03"  # RFC 8446 § 5.1: a handshake

    uvloop.run(hello())  # as the service does; asyncio's own loop reads later


async def test_who_speaks_no_tls_where_it_is_expected_is_sent_away(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    listen = Address("127.0.0.1", 0)
    async with mailroom(tmp_path, certificate=certificate, key=key, tls_listen=listen) as room:
        assert room.server.tls_address is not None
        place = room.server.tls_address
        client = Client(*await asyncio.open_connection(place.host, place.port))
        client.send("EHLO me")
        async with asyncio.timeout(60):
            assert not (await client.reader.read()).startswith(b"220")
        await client.close()
        async with room.client() as other:
            assert (await other.submit(MESSAGE)).startswith("250")


async def test_an_email_has_no_more_recipients_than_allowed(tmp_path: Path) -> None:
    async with mailroom(tmp_path, max_recipients=2) as room, room.client() as client:
        await client.say("EHLO me", "MAIL FROM:<a@example.com>")
        answers = [await client.say(f"RCPT TO:<{name}@example.org>") for name in "abc"]
        assert [each[:9] for each in answers] == ["250 2.1.5", "250 2.1.5", "452 4.5.3"]
        await client.say("DATA")
        assert (await client.say(MESSAGE + b".")).startswith("250")
        assert len(room.hostile.taken[0].rcpts) == 2


async def test_a_smarthost_that_is_away_offers_nothing_and_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smarthost, "ASK_AGAIN_SECONDS", 0.0)
    hostile = HostileSmarthost({"CONNECT": "421 later"}, offers=OFFERS)
    async with mailroom(tmp_path, hostile) as room, room.client() as client:
        assert "DSN" not in await client.say("EHLO me")
        hostile.answers.clear()
        assert "DSN" in await client.say("EHLO me")


async def test_strangers_cannot_have_a_smarthost_that_is_away_asked_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smarthost, "ASK_AGAIN_SECONDS", 3600.0)
    hostile = HostileSmarthost({"CONNECT": "421 later"}, offers=OFFERS)
    async with mailroom(tmp_path, hostile, allow=()) as room, room.client() as client:
        await client.say(*["EHLO me"] * 20)
        assert hostile.connections == 1


REPORT = b"""\
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)\r
To: news@example.com\r
Subject: Undelivered Mail Returned to Sender\r
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r
\r
--b\r
\r
It was not delivered.\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example.net\r
--b--\r
"""


async def test_reports_of_mail_servers_pass_whatever_identities_there_are(tmp_path: Path) -> None:
    async with mailroom(tmp_path, identities="yes") as room, room.client() as client:
        assert (await client.submit(REPORT, sender="")).startswith("250 2.0.0 ")
        assert room.hostile.taken[0].message.endswith(REPORT)


@pytest.mark.parametrize("exempt", [LOOPBACK, (ipaddress.ip_network("192.0.2.0/24"),)])
async def test_exempt_networks_send_in_anybodys_name(
    tmp_path: Path, exempt: tuple[ipaddress.IPv4Network, ...]
) -> None:
    cron = b"From: root (Cron Daemon)\r\nTo: root\r\nSubject: Cron\r\n\r\nx\r\n"
    async with (
        mailroom(tmp_path, identities="yes", identities_exempt=exempt) as room,
        room.client() as client,
    ):
        answer = await client.submit(cron, sender="root@machine.internal")
        assert answer.startswith("250 2.0.0 " if exempt == LOOPBACK else "553 5.7.1 ")
