import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.headers.addresses import UnreadableAddress, mailboxes, senders_in

STRANGE = "ceo@other.org"


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("a@b.c", ["a@b.c"]),
        ("A <a@b.c>", ["a@b.c"]),
        ('"B, A" <a@b.c>, d@e.f', ["a@b.c", "d@e.f"]),
        ("a@b.c (A (and B, C) \\) )", ["a@b.c"]),
        ("(A, B) a@b.c", ["a@b.c"]),
        ("A. B. [team] <a@b.c>", ["a@b.c"]),
        ("a@b.c <a@b.c>", ["a@b.c"]),
        ("Ünï <ü@b.c>", ["ü@b.c"]),
        ('"a b"@b.c', ['"a b"@b.c']),
        ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
        ("G: a@b.c, D <d@e.f>;, g@h.i", ["a@b.c", "d@e.f", "g@h.i"]),
        ("nobody:;", []),
        (", ,", []),
        ("", []),
    ],
)
def test_the_addresses_of_a_list(value: str, addresses: list[str]) -> None:
    assert [box.address for box in mailboxes(value)] == addresses


@pytest.mark.parametrize(
    "value",
    [
        "a", "a b@c.d", "<>", "<a@b.c", "a@b.c>", "<<a@b.c>>", "<a@b.c> <d@e.f>", "<a@b.c> d@e.f",
        "@b.c", "a@", "a@b@c", "<@r.s,@t.u:a@b.c>", '"a <a@b.c>', "a@b.c (", "a@b.c)", "a\\@b.c",
        "a@b.c; d@e.f", "G: H: a@b.c;;", "G: a@b.c", "a(x)@b.c", "a@(x)b.c", "a @b.c", "a@b .c",
        "B, A <a@b.c>",
    ],
)  # fmt: skip
def test_what_is_no_list_of_addresses(value: str) -> None:
    with pytest.raises(UnreadableAddress):
        mailboxes(value)


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("A <a@b.c>", ["a@b.c"]),
        ("O'Neill <o'neill@b.c>", ["o'neill@b.c"]),
        (f'"{STRANGE}" <a@b.c>', ["a@b.c"]),
        ('"A, \\"B\\" <b>" <a@b.c>', ["a@b.c"]),
        ("=?utf-8?q?J=C3=BCrgen=2C_A?= <a@b.c>", ["a@b.c"]),
        ('"=?utf-8?b?SsO8cmdlbg==?=" <a@b.c>', ["a@b.c"]),
        ("a@b.c (A (B))", ["a@b.c"]),
        ('"a.b"@b.c', ['"a.b"@b.c', "x@b.c"]),
        # What somebody else may read:
        (f"a@b.c, {STRANGE}", ["a@b.c", STRANGE]),
        (f"{STRANGE} <a@b.c>", ["a@b.c", STRANGE]),
        (f"'{STRANGE}' <a@b.c>", ["a@b.c", STRANGE]),
        (f"a@b.c ({STRANGE})", ["a@b.c", STRANGE]),
        (f"{STRANGE}: a@b.c;", ["a@b.c", STRANGE]),
        ("=?utf-8?q?ceo=40other=2Eorg?= <a@b.c>", ["a@b.c", STRANGE]),
        ("=?utf-8?q?=3Cceo=40?= =?utf-8?b?b3RoZXIub3Jn?= <a@b.c>", ["a@b.c", STRANGE]),
        ("=?utf-8?q?ceo=40?=other.org <a@b.c>", None),
        (f'"{STRANGE}"[ <a@b.c>', ["a@b.c", STRANGE]),
        (f'[x] "{STRANGE}" <a@b.c>', ["a@b.c", STRANGE]),
        ("a@b.c(x)d <a@b.c>", ["a@b.c", "a@b.cd"]),
        ("a@b.c\u2028", ["a@b.c\u2028"]),
        ("\u5c71\u7530\u3000\u592a\u90ce <a@b.c>", ["a@b.c"]),
        ("\u65e5\u7d4c\uff20IT <a@b.c>", ["a@b.c"]),
        (f'"x =?utf-8?q?=22?= {STRANGE}" <a@b.c>', ["a@b.c", STRANGE]),
    ],
)
def test_the_senders_of_a_from_field(value: str, addresses: list[str] | None) -> None:
    if addresses is None:
        assert STRANGE in senders_in(value)
    else:
        assert senders_in(value) == addresses


@pytest.mark.parametrize(
    "value",
    [
        "", "A", "nobody:;", f"A <a@b.c>\0{STRANGE}", "A\x1b <a@b.c>", "<a@b.c> <d@e.f>",
        "=?utf-8?q?ceo=40other.org?=@b.c", "=?utf-8?q?ceo=40other.org=00?= <a@b.c>",
        "=?utf-8?q?ceo=40?= other.org <a@b.c>", f'"{STRANGE}"@b.c', '"<x>"@b.c', "x@y@z <a@b.c>",
        "@ <a@b.c>", "=?utf-8?x?ceo=40other.org?= <a@b.c>", "a\\@b.c <a@b.c>",
        "a@[192.0.2.1]",
        # To some, a bracket ends the name, white space and comments join what is on both sides, and
        # white space is that of ASCII alone:
        "a@b.c d <a@b.c>", "a@b.c .d <a@b.c>", "a@b.c\td <a@b.c>", "x a@b.c <a@b.c>",
        "=?utf-8?q?a=40b.c_d?= <a@b.c>", "a@b.c =?utf-8?q?d?= <a@b.c>", "a\uff20d@b.c",
    ],
)  # fmt: skip
def test_a_from_field_that_cannot_be_read_for_sure(value: str) -> None:
    with pytest.raises(UnreadableAddress):
        senders_in(value)


def test_comments_may_be_as_deep_as_a_header_is_long() -> None:
    deep = "(" * 100_000 + ")" * 100_000
    assert senders_in(f"a@b.c {deep}") == ["a@b.c"]
    with pytest.raises(UnreadableAddress, match="comment has no end"):
        mailboxes("(" * 100_000)


@given(st.text('ab@.,;:<>()[]"\\ \t=?', max_size=40))
def test_each_address_of_a_list_is_among_the_senders(value: str) -> None:
    try:
        senders = senders_in(value)
    except UnreadableAddress:
        return
    assert {box.address for box in mailboxes(value)} <= set(senders)
