import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clicktrail.errors import (
    MessageRefused,
    SmarthostRefused,
    SmarthostUnavailable,
    StoreUnavailable,
)
from clicktrail.headers.fields import read_header
from clicktrail.ingress.accept import CONTROL_HEADERS
from clicktrail.ingress.choice import UnknownConfigurationSet
from clicktrail.ingress.options.lists import (
    NO_HTTPS,
    ONE_RECIPIENT,
    TOO_LONG,
    unsubscribe_fields,
)
from clicktrail.ingress.rewriting import LARGE, UNTRACKED
from clicktrail.ingress.submission import Submission
from clicktrail.keys.token import TrackingHosts
from clicktrail.model import (
    ConfigurationSet,
    Envelope,
    HttpsPolicy,
    Message,
    MessageState,
    Reason,
    Recipient,
    Subscription,
)
from clicktrail.rewrite import Policy, Rewritten
from support.mailroom import Mailroom, mailroom

HEAD = b"From: News <news@example.com>\r\nSubject: s\r\n"
HTML = b'Content-Type: text/html\r\n\r\n<p><a href="http://www.example.com/1">x</a></p>\r\n'
TEXT = b"\r\n.dot\r\nplain \xff text  \r\n"
HREF = re.compile(rb'href="([a-z]+://[a-z.]+/c/)([^"]+)"')
RECEIVED = re.compile(
    rb"Received: from my-host \(\[192\.0\.2\.9\]\)\r\n"
    rb"\tby clicktrail\.test \(Clicktrail\) with ESMTP id [-\w]{21};\r\n"
    rb"\t[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000\r\n"
)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Mailroom]:
    async with mailroom(tmp_path) as opened:
        yield opened


async def accept(
    room: Mailroom,
    message: bytes,
    *recipients: str,
    sender: str = "news@example.com",
    configuration_set: str | None = None,
    click_tracking: bool | None = None,
) -> Message:
    named = recipients or ("b@example.org",)
    transaction = await room.smarthost.begin(Envelope(sender))
    await transaction.rcpt([*map(Recipient, named)])
    submission = Submission(
        message,
        sender,
        named,
        source_ip="192.0.2.9",
        client="my-host",
        configuration_set=configuration_set,
        tags={"given": ["1"]} if configuration_set else {},
        click_tracking=click_tracking,
    )
    return await room.store.messages.get(await room.acceptor.accept(submission, transaction))


def sent(room: Mailroom) -> bytes:
    """Return the last email that went on, without the trace header, which is checked."""
    message = room.hostile.taken[-1].message
    trace = RECEIVED.match(message)
    assert trace is not None
    return message[trace.end() :]


async def test_a_tracked_email_goes_on_with_tracking_links_and_is_kept(room: Mailroom) -> None:
    kept = await accept(room, HEAD + HTML)
    found = HREF.search(sent(room))
    assert found is not None
    assert found[1] == b"http://t.test/c/"
    opened = room.keys.ring().open(found[2].decode())
    assert (opened.message_id, opened.link) == (kept.id, 0)
    assert opened.url == "http://www.example.com/1"
    assert sent(room).replace(found[0], b'href="http://www.example.com/1"') == HEAD + HTML
    assert kept.reason is None
    assert [link.url for link in kept.links] == ["http://www.example.com/1"]
    assert kept.state is MessageState.SENT
    assert kept.recipients == ("b@example.org",)
    assert kept.source_ip == "192.0.2.9"
    assert kept.identity is not None
    assert kept.identity.name == "example.com"
    assert kept.headers[0] == ("From", "News <news@example.com>")


@pytest.mark.parametrize(
    ("message", "recipients", "reason"),
    [
        (b"X-Ses-Configuration-Set: untracked\r\n" + HEAD + HTML, ("b@x.org",), Reason.OFF),
        (b"From: a@else.org\r\n" + HTML, ("b@x.org",), Reason.OFF),
        (HEAD + HTML, ("b@x.org", "c@x.org"), Reason.SEVERAL_RECIPIENTS),
        (HEAD + TEXT, ("b@x.org",), Reason.NO_HTML),
        (HEAD + b"Content-Type: text/html\r\n\r\n<p>no links\r\n", ("b@x.org",), Reason.NO_LINKS),
        (
            HEAD + b"Content-Type: application/pkcs7-mime\r\n\r\nMII\r\n",
            ("b@x.org",),
            Reason.SIGNED,
        ),
    ],
)
async def test_an_untracked_email_goes_on_byte_for_byte(
    room: Mailroom, message: bytes, recipients: tuple[str, ...], reason: Reason
) -> None:
    kept = await accept(room, message, *recipients, sender="x@unknown.org")
    assert kept.reason is reason
    assert kept.links == ()
    assert sent(room) == message.removeprefix(b"X-Ses-Configuration-Set: untracked\r\n")


async def test_control_headers_are_read_and_do_not_go_on(room: Mailroom) -> None:
    control = (
        b"x-ses-CONFIGURATION-set:\r\n  untracked  \r\n"
        b"X-SES-MESSAGE-TAGS: campaign=spring, audience = all,,broken,\r\n\tcampaign=x=y\r\n"
    )
    kept = await accept(room, HEAD + control + TEXT)
    assert sent(room) == HEAD + TEXT
    assert kept.configuration_set == "untracked"
    assert kept.tags == {"campaign": ["spring", "x=y"], "audience": ["all"]}
    assert [name for name, _ in kept.headers] == ["From", "Subject"]
    assert len(kept.warnings) == 1
    assert "broken" in kept.warnings[0]


async def test_the_request_wins_over_the_header_and_the_header_over_the_identity(
    room: Mailroom,
) -> None:
    header = b"X-SES-CONFIGURATION-SET: untracked\r\n"
    assert (await accept(room, HEAD + TEXT)).configuration_set == "tracked"
    assert (await accept(room, header + HEAD + TEXT)).configuration_set == "untracked"
    kept = await accept(room, header + HEAD + TEXT, configuration_set="tracked")
    assert kept.configuration_set == "tracked"
    assert kept.tags == {"given": ["1"]}


async def test_the_identity_is_that_of_from_else_of_the_envelope(room: Mailroom) -> None:
    await room.store.configuration.create_identity("bounces.example.net")
    by_from = await accept(room, HEAD + TEXT, sender="x@bounces.example.net")
    assert by_from.identity is not None
    assert by_from.identity.name == "example.com"
    by_envelope = await accept(room, b"Subject: x\r\n" + TEXT, sender="x@bounces.example.net")
    assert by_envelope.identity is not None
    assert by_envelope.identity.name == "bounces.example.net"
    assert (await accept(room, TEXT, sender="")).identity is None


async def test_an_unknown_configuration_set_is_an_error_and_nothing_is_sent(
    room: Mailroom,
) -> None:
    message = b"X-SES-Configuration-Set: no\xc3\xa4\r\n" + HEAD + TEXT
    with pytest.raises(UnknownConfigurationSet) as caught:
        await accept(room, message)
    assert caught.value.code == 554
    assert caught.value.text == r"5.6.0 there is no configuration set 'no\xe4'"
    assert not room.hostile.taken
    assert room.hostile.commands[-1] == "RSET"


async def test_the_redirect_domain_and_https_policy_of_the_set_make_the_links(
    room: Mailroom,
) -> None:
    own = ConfigurationSet(
        "own", engagement=True, redirect_domain="go.test", https_policy=HttpsPolicy.REQUIRE
    )
    await room.store.configuration.create_set(own)
    await accept(room, HEAD + HTML, configuration_set="own")
    found = HREF.search(sent(room))
    assert found is not None
    assert found[1] == b"https://go.test/c/"


@pytest.mark.parametrize(
    ("name", "override", "reason"),
    [
        ("tracked", False, Reason.OFF),
        ("untracked", True, None),
        ("tracked", None, None),
        ("untracked", None, Reason.OFF),
    ],
)
async def test_the_request_may_say_whether_this_email_is_tracked(
    room: Mailroom, name: str, override: bool | None, reason: Reason | None
) -> None:
    kept = await accept(room, HEAD + HTML, configuration_set=name, click_tracking=override)
    assert kept.reason is reason
    assert kept.configuration_set == name


async def test_a_change_of_the_configuration_is_seen_by_the_next_email(room: Mailroom) -> None:
    assert (await accept(room, HEAD + HTML)).reason is None
    await room.store.configuration.bind_identity("example.com", "untracked")
    assert (await accept(room, HEAD + HTML)).reason is Reason.OFF
    with pytest.raises(UnknownConfigurationSet):
        await accept(room, HEAD + HTML, configuration_set="new")
    await room.store.configuration.create_set(ConfigurationSet("new", engagement=True))
    assert (await accept(room, HEAD + HTML, configuration_set="new")).reason is None


async def test_the_line_from_a_mailbox_stays_the_first(room: Mailroom) -> None:
    line = b"From me@example.com Mon Nov 23 18:00:00 2026\r\n"
    await accept(room, line + HEAD + TEXT)
    message = room.hostile.taken[0].message
    assert message.startswith(line + b"Received: from my-host ")
    assert message.endswith(b"\r\n" + HEAD + TEXT)


async def test_a_tracking_link_of_ours_stays_as_it_is(room: Mailroom) -> None:
    await accept(room, HEAD + HTML)
    again = sent(room)
    kept = await accept(room, again)
    assert kept.reason is Reason.NO_LINKS
    assert sent(room) == again


async def test_a_large_email_is_tracked_too(room: Mailroom) -> None:
    filler = b"<p>filler</p>\r\n" * (LARGE // 10)
    kept = await accept(room, HEAD + HTML + filler)
    assert kept.reason is None
    assert sent(room).endswith(filler)


@pytest.mark.parametrize(("hops", "refused"), [(50, False), (51, True)])
async def test_an_email_that_goes_round_in_circles_is_refused(
    room: Mailroom, hops: int, refused: bool
) -> None:
    message = b"Received: by x\r\n" * hops + HEAD + TEXT
    if refused:
        with pytest.raises(MessageRefused, match=r"554 5\.4\.6"):
            await accept(room, message)
        assert not room.hostile.taken
    else:
        await accept(room, message)
        assert sent(room) == message


@pytest.mark.parametrize("end", [b"\n.\r\n", b"\n.\n", b"\r.\r", b"\r.\r\n", b"\n.\r"])
async def test_an_email_that_could_smuggle_another_is_refused(room: Mailroom, end: bytes) -> None:
    with pytest.raises(MessageRefused, match=r"554 5\.6\.0"):
        await accept(room, HEAD + b"\r\nx" + end + b"MAIL FROM:<a@b>\r\n")
    with pytest.raises(MessageRefused, match=r"554 5\.6\.0"):
        await accept(room, HEAD + b"\r\nx" + end[:2])
    assert not room.hostile.taken


async def test_dots_at_usual_places_are_no_smuggling(room: Mailroom) -> None:
    message = HEAD + b"\r\n.\r\n.\n\r\n.\r\r\nx.\n.x\n..\n\r.x\r\n"
    await accept(room, message)
    assert sent(room) == message


@pytest.mark.parametrize("stage", ["DATA", "DOT"])
async def test_what_the_smarthost_refuses_is_kept_as_refused(room: Mailroom, stage: str) -> None:
    room.hostile.answers[stage] = "554 5.7.1 spam"
    with pytest.raises(SmarthostRefused, match=r"5\.7\.1 spam"):
        await accept(room, HEAD + HTML)
    kept = await room.only_message()
    assert kept.state is MessageState.REFUSED
    assert kept.recipients == ()


@pytest.mark.parametrize(
    ("stage", "state"), [("DATA", MessageState.REFUSED), ("DOT", MessageState.UNKNOWN)]
)
async def test_what_became_of_an_email_is_kept_where_the_smarthost_goes_away(
    room: Mailroom, stage: str, state: MessageState
) -> None:
    room.hostile.drops.add(stage)
    with pytest.raises(SmarthostUnavailable):
        await accept(room, HEAD + HTML)
    assert (await room.only_message()).state is state


async def test_an_email_that_cannot_be_kept_is_not_sent(room: Mailroom) -> None:
    room.sql("ALTER TABLE message_contents RENAME TO away")
    with pytest.raises(StoreUnavailable):
        await accept(room, HEAD + HTML)
    assert not room.hostile.taken
    assert room.hostile.commands[-1] == "RSET"


async def test_a_failing_rewriter_does_not_stop_an_email(
    room: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: bytes, __: Policy) -> Rewritten:
        raise RuntimeError("a bug")

    monkeypatch.setattr("clicktrail.ingress.rewriting.rewrite_message", broken)
    kept = await accept(room, HEAD + HTML)
    assert (kept.reason, kept.links, kept.warnings) == (None, (), (UNTRACKED,))
    assert sent(room) == HEAD + HTML


LISTED = b"X-SES-LIST-MANAGEMENT-OPTIONS: contactListName=news\r\n" + HEAD


async def test_one_click_needs_https(tmp_path: Path) -> None:
    async with mailroom(tmp_path, hosts=TrackingHosts("t.test", "")) as room:
        kept = await accept(room, LISTED + TEXT)
        link = re.match(rb"List-Unsubscribe: <http://t\.test/u/[\w-]+>\r\n", sent(room))
        assert link is not None
        assert sent(room)[link.end() :] == HEAD + TEXT
        assert NO_HTTPS in kept.warnings


async def test_a_link_to_unsubscribe_is_for_one_recipient(room: Mailroom) -> None:
    kept = await accept(room, LISTED + TEXT, "a@example.org", "b@example.org")
    assert sent(room) == HEAD + TEXT
    assert ONE_RECIPIENT in kept.warnings
    await room.store.unsubscribed.put([Subscription("news", "", "B@example.org")])
    with pytest.raises(MessageRefused, match=r"'b@example\.org' is not subscribed to the contact"):
        await accept(room, LISTED + TEXT, "a@example.org", "b@example.org")


async def test_a_link_to_unsubscribe_needs_an_address(room: Mailroom) -> None:
    kept = await accept(room, LISTED + TEXT, "a" * 9000 + "@example.org")
    assert sent(room) == HEAD + TEXT
    assert TOO_LONG in kept.warnings


def test_a_header_that_tells_of_one_click_is_there_once() -> None:
    given = read_header(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n")
    link = "https://click.example.com/u/x"
    assert unsubscribe_fields(given, link) == f"List-Unsubscribe: <{link}>\r\n".encode()


@pytest.mark.parametrize("name", sorted(CONTROL_HEADERS))
async def test_a_signature_of_a_header_that_is_for_us_comes_off(room: Mailroom, name: str) -> None:
    signature = b"DKIM-Signature: v=1; d=example.com; h=from:" + name.encode() + b"; b=AAAA\r\n"
    await room.store.configuration.create_set(ConfigurationSet("news"))
    value = {"x-ses-list-management-options": "news", "x-clicktrail-track": "no"}
    control = f"{name}: {value.get(name, 'news')}\r\n".encode()
    kept = await accept(room, signature + control + HEAD + TEXT)
    assert b"DKIM-Signature" not in sent(room)
    assert any("DKIM-Signature removed" in warning for warning in kept.warnings)


@pytest.mark.parametrize(
    ("names", "header", "stays"),
    [
        (b"from:list-unsubscribe", LISTED, False),
        (b"from:subject", LISTED, True),
        (b"from:list-unsubscribe", HEAD, True),
        (b"from:list-unsubscribe", b"List-Unsubscribe: <mailto:a@example.com>\r\n" + LISTED, True),
    ],
)
async def test_a_signature_that_says_there_is_no_such_header_comes_off(
    room: Mailroom, names: bytes, header: bytes, *, stays: bool
) -> None:
    """RFC 6376 § 5.4.2: a header that is named and not there must not be added."""
    signature = b"DKIM-Signature: v=1; d=example.com; h=" + names + b"; b=AAAA\r\n"
    await accept(room, signature + header + TEXT)
    assert (b"DKIM-Signature" in sent(room)) is stays
