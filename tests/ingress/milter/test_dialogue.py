"""The milter protocol, packet by packet; and whatever else may come."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clicktrail.headers.fields import HEADER_LIMIT
from clicktrail.ingress.milter.dialogue import (
    AHEAD_LIMIT,
    PACKET_LIMIT,
    SMALL_LIMIT,
    Closed,
    Dialogue,
    Email,
    Fault,
)
from support.milter_client import ALL_STEPS, Envelope, content, macros, negotiation, packet

FIELDS = [(b"From", b" a@example.com"), (b"Subject", b"\ta\n b")]
CONTINUE = packet(b"c")


class Keeper:
    """Keeps up to ``most`` bytes of each email, and all of who is ours."""

    def __init__(self, most: int = 1 << 20) -> None:
        self.most = most
        self.held = 0

    def begin(self, email: Email) -> None:
        self.held = 0
        if email.sender == "stranger@example.com":
            email.drop()

    def grow(self, email: Email, by: int) -> None:
        self.held += by
        if self.held > self.most:
            email.drop((552, "5.3.4 too large"))

    hold = grow


def talk(dialogue: Dialogue, *packets: bytes) -> list[bytes | Email]:
    return dialogue.receive(b"".join(packets))


def begun(keeper: Keeper | None = None, **offered: int) -> Dialogue:
    dialogue = Dialogue(keeper or Keeper())
    talk(dialogue, negotiation(**offered))
    return dialogue


def one_email(said: list[bytes | Email]) -> Email:
    (email,) = said
    assert isinstance(email, Email)
    return email


def test_only_what_is_needed_is_asked_for() -> None:
    (answer,) = talk(Dialogue(Keeper()), negotiation())
    assert isinstance(answer, bytes)
    version, actions, steps = struct.unpack_from("!III", answer, 5)
    assert version == 6
    assert actions == 0x113  # add headers, change body, change headers; name macros
    # HELO, EOH, DATA and unknown commands are not told; nothing but the end is answered; values
    # come with their space.
    assert steps == 0x2 | 0x40 | 0x100 | 0x200 | 0xFF080 | 0x100000
    assert answer[17:] == (b"\0\0\0\0{client_addr}\0\0\0\0\2{auth_authen}\0\0\0\0\5i\0")


def test_an_older_mail_server_gets_what_it_offers() -> None:
    (answer,) = talk(Dialogue(Keeper()), negotiation(2, 0x3F, 0x7F))
    assert answer == packet(b"O", struct.pack("!III", 2, 0x13, 0x42))


@pytest.mark.parametrize(("version", "actions"), [(1, 0x1FF), (6, 0x01), (6, 0x1FD)])
def test_who_lets_nothing_be_changed_is_given_up(version: int, actions: int) -> None:
    with pytest.raises(Fault):
        talk(Dialogue(Keeper()), negotiation(version, actions))


def test_an_email_comes_with_all_that_is_told_of_it() -> None:
    dialogue = begun()
    said = talk(
        dialogue,
        macros(b"C", client_addr="2001:db8::9"),
        packet(b"C", b"app.test\0", b"6", b"\0\x19", b"IPv6:2001:db8::9\0"),
        *Envelope("ä@example.com", ("b@example.org", "c@example.org"), user="ann").packets(),
        *content(FIELDS, b"body\r\n"),
    )
    email = one_email(said)
    assert (email.sender, email.recipients) == ("ä@example.com", ["b@example.org", "c@example.org"])
    assert email.client_address == "2001:db8::9"
    assert (email.user, email.queue_id) == ("ann", "4ABC")
    assert (email.fields, bytes(email.body)) == (FIELDS, b"body\r\n")


def test_macros_that_did_not_come_are_taken_from_the_connection() -> None:
    dialogue = begun(actions=0x3F)
    connect = packet(b"C", b"host.test\0", b"6", b"\0\x19", b"IPv6:2001:db8::9\0")
    email = one_email(talk(dialogue, connect, *Envelope("").packets(), *content(FIELDS, b"")))
    assert (email.client_address, email.sender) == ("2001:db8::9", "")


@pytest.mark.parametrize("place", [b"L\0\0/run/x\0", b"U", b""])
def test_a_client_without_an_internet_address_has_none(place: bytes) -> None:
    dialogue = begun()
    said = talk(dialogue, packet(b"C", b"x\0", place), *Envelope().packets(), *content([], b""))
    assert one_email(said).client_address == ""


def test_who_signed_in_for_one_email_has_not_for_the_next() -> None:
    dialogue = begun()
    talk(dialogue, *Envelope(user="ann").packets(), *content(FIELDS, b""))
    assert dialogue.answered() == []
    again = one_email(talk(dialogue, *Envelope().packets(), *content(FIELDS, b"")))
    assert again.user == ""
    dialogue.answered()
    talk(dialogue, *Envelope(user="ann").packets(), packet(b"A"))
    assert one_email(talk(dialogue, *Envelope().packets(), *content(FIELDS, b""))).user == ""


def test_another_client_on_the_same_connection_begins_anew() -> None:
    dialogue = begun()
    talk(dialogue, macros(b"C", client_addr="192.0.2.1"), *Envelope().packets(), packet(b"K"))
    said = talk(dialogue, *Envelope().packets(), *content(FIELDS, b""))
    assert one_email(said).client_address == ""


def test_steps_that_a_mail_server_wants_answered_are_answered() -> None:
    dialogue = begun(steps=0x7F)
    said = talk(
        dialogue,
        packet(b"C", b"x\0", b"4\0\x19", b"192.0.2.1\0"),
        packet(b"H", b"x\0"),
        *Envelope().packets(),
        packet(b"T"),
        packet(b"L", b"From\0a\0"),
        packet(b"N"),
        packet(b"B", b"body"),
        packet(b"U", b"what\0"),
    )
    assert said == [CONTINUE] * 9
    email = one_email(talk(dialogue, packet(b"E")))
    assert email.fields == [(b"From", b" a")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_it_does_not_matter_how_bytes_come(size: int) -> None:
    dialogue = Dialogue(Keeper())
    wire = b"".join([negotiation(), *Envelope().packets(), *content(FIELDS, b"body\r\n" * 30)])
    said: list[bytes | Email] = []
    for at in range(0, len(wire), size):
        said += dialogue.receive(wire[at : at + size])
    email = said[-1]
    assert isinstance(email, Email)
    assert len(said) == 2
    assert bytes(email.body) == b"body\r\n" * 30


def test_what_comes_before_the_answer_waits_for_it() -> None:
    dialogue = begun()
    both = [*Envelope().packets(), *content(FIELDS, b"1"), *Envelope().packets()]
    assert bytes(one_email(talk(dialogue, *both, *content(FIELDS, b"2"))).body) == b"1"
    assert dialogue.receive(packet(b"A")) == []
    assert bytes(one_email(dialogue.answered()).body) == b"2"
    with pytest.raises(Fault):
        dialogue.receive(b"x" * (AHEAD_LIMIT + 1))


def test_an_email_of_others_is_not_kept_and_ends_as_all_do() -> None:
    dialogue = begun()
    envelope = Envelope("stranger@example.com")
    email = one_email(talk(dialogue, *envelope.packets(), *content(FIELDS, b"x" * 200_000)))
    assert (email.kept, email.refusal, email.fields, bytes(email.body)) == (False, None, [], b"")


def test_an_email_that_is_too_large_is_refused_in_the_end() -> None:
    dialogue = begun(Keeper(100_000))
    email = one_email(talk(dialogue, *Envelope().packets(), *content(FIELDS, b"x" * 200_000)))
    assert (email.kept, email.refusal) == (False, (552, "5.3.4 too large"))
    assert bytes(email.body) == b""


def test_a_header_that_is_too_long_is_refused_in_the_end() -> None:
    dialogue = begun()
    many = [(b"X", b"")] * (HEADER_LIMIT // 4 + 1)
    email = one_email(talk(dialogue, *Envelope().packets(), *content(many, b"")))
    assert email.refusal is not None
    assert email.refusal[0] == 552


@pytest.mark.parametrize(
    "packets",
    [
        [struct.pack("!I", 0) + b"x"],
        [struct.pack("!I", SMALL_LIMIT + 1) + b"x"],
        [struct.pack("!I", SMALL_LIMIT + 1) + b"L"],
        [packet(b"M", b"<>\0"), struct.pack("!I", PACKET_LIMIT + 1) + b"L"],
        [packet(b"M", b"<>\0"), struct.pack("!I", SMALL_LIMIT + 1) + b"B"],
        [packet(b"?")],
        [packet(b"O", b"short")],
        [packet(b"L", b"From\0a\0")],
        [packet(b"R", b"<a@example.com>\0")],
        [packet(b"B", b"x")],
        [packet(b"E")],
        [packet(b"M", b"<>\0"), packet(b"L", b"\0a\0")],
        [packet(b"M", b"<>\0"), packet(b"L", b"a:b\0a\0")],
        [packet(b"M", b"<>\0"), packet(b"L", b"a\nb\0a\0")],
        [packet(b"M", b"<>\0"), packet(b"L", b"a\0b\nBcc: c\0")],
        [packet(b"M", b"<>\0"), packet(b"L", b"a\0b\r\n\r\n<p>\0")],
        [packet(b"M", b"<>\0"), packet(b"B", b"x"), packet(b"L", b"a\0b\0")],
    ],
)
def test_what_makes_no_sense_is_a_fault(packets: list[bytes]) -> None:
    with pytest.raises(Fault):
        talk(begun(), *packets)


@pytest.mark.parametrize("size", [1, 1000, 65_536, 300_000])
@pytest.mark.parametrize("steps", [0, ALL_STEPS], ids=["answered", "not answered"])
def test_packets_that_nobody_needs_are_passed_over_and_answered(size: int, steps: int) -> None:
    large = packet(b"L", b"X\0", b"x" * 250_000 + b"\0")
    body = packet(b"B", b"y" * 60_000)
    for sender, most, refusal in (
        ("stranger@example.com", 1 << 20, None),
        ("a@example.com", 200_000, (552, "5.3.4 too large")),
    ):
        wire = packet(b"M", f"<{sender}>\0".encode()) + large + large + body + packet(b"E")
        dialogue = Dialogue(Keeper(most))
        dialogue.receive(negotiation(steps=steps))
        said: list[bytes | Email] = []
        for at in range(0, len(wire), size):
            said += dialogue.receive(wire[at : at + size])
            assert len(dialogue._buffer) <= max(SMALL_LIMIT + 4, size)
        assert said[:-1] == [] if steps else [CONTINUE] * 4
        email = said[-1]
        assert isinstance(email, Email)
        assert not email.kept
        assert email.refusal == refusal


def test_nothing_goes_before_the_negotiation() -> None:
    with pytest.raises(Fault):
        talk(Dialogue(Keeper()), packet(b"M", b"<>\0"))
    with pytest.raises(Closed):
        talk(Dialogue(Keeper()), packet(b"Q"))


COMMANDS = st.sampled_from([bytes([each]) for each in b"ABCDEHKLMNOQRTUxyz\0\xff"])
WORDS = st.sampled_from(
    [
        b"",
        b"\0",
        b"<a@b>\0",
        b"From\0",
        b" v\0",
        b"4\0\x19",
        b"i\0",
        b"{client_addr}\0",
        b"\n",
        b"E",
    ]
)
DATA = st.one_of(
    st.binary(max_size=40), st.lists(WORDS, max_size=6).map(b"".join), st.just(b"x" * 70_000)
)
PACKETS = st.one_of(
    st.tuples(COMMANDS, DATA).map(lambda pair: packet(*pair)),
    st.just(negotiation()),
    st.just(packet(b"M", b"<a@example.com>\0")),
    st.just(packet(b"L", b"From\0 a\0")),
    st.just(packet(b"E", b"body")),
    st.binary(max_size=8),
)


@settings(max_examples=500)
@given(st.lists(PACKETS, max_size=25), st.integers(1, 100_000), st.booleans())
def test_whatever_comes_it_is_an_email_a_fault_or_the_end(
    packets: list[bytes], size: int, negotiated: bool
) -> None:
    keeper = Keeper(200_000)
    dialogue = Dialogue(keeper)
    wire = (negotiation() if negotiated else b"") + b"".join(packets)
    try:
        for at in range(0, len(wire), size):
            said = dialogue.receive(wire[at : at + size])
            while said and isinstance(said[-1], Email):
                assert len(said[-1].body) <= keeper.most
                assert all(isinstance(each, bytes) for each in said[:-1])
                said = dialogue.answered()
            assert len(dialogue._buffer) <= PACKET_LIMIT + size
    except (Fault, Closed):
        pass
