"""An address is found however it is written; those of others are not."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.errors import InvalidInput
from clicktrail.store.people.person import ERASED, Person

ANNA = Person("Anna.Example@mail.example")


@pytest.mark.parametrize(
    "text",
    [
        "anna.example@mail.example",
        "ANNA.EXAMPLE@MAIL.EXAMPLE",
        "Anna <anna.example@mail.example>, Bob <bob@x.example>",
        '"anna.example"@mail.example',
        "Write to anna.example@mail.example.",
        "https://x.example/?to=anna.example@mail.example&x=1",
        "https://x.example/?to=anna.example%40mail.example",
        "https://x.example/?to%3Danna%2Eexample%40MAIL%2eexample",
        "https://a.example/?u=https%3A%2F%2Fx.example%2F%3Fto%3Danna.example%2540mail.example",
        "https://x.example/unsubscribe/anna.example@mail.example/now",
        "mailto:unsubscribe+anna.example@mail.example",
        "=?utf-8?q?Hello_anna=2Eexample=40mail=2Eexample?=",
        "=?utf-8?b?SGVsbG8gYW5uYS5leGFtcGxlQG1haWwuZXhhbXBsZSE=?= there",
        "=?x-unheard?q?anna.example=40mail.example?=",
    ],
)
def test_it_is_found_however_it_is_written(text: str) -> None:
    assert ANNA.is_in(text)
    assert ANNA.erased({"a": [text, 1, None], text: "b"}) == {"a": [ERASED, 1, None], ERASED: "b"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "joanna.example@mail.example",
        "jo.anna.example@mail.example",
        "jo-anna.example@mail.example",
        "anna.example@mail.example.org",
        "anna.example@mail.examples",
        "anna.example@mail-example",
        "annaXexample@mail.example",
        "anna.example@post.example",
        "anna.example+more@mail.example",
        "=?utf-8?b?!!!?= =?",
        "%",
    ],
)
def test_others_are_others(text: str) -> None:
    assert not ANNA.is_in(text)
    assert not ANNA.is_one(text)
    assert ANNA.erased([text]) == [text]


@pytest.mark.parametrize(
    "address", ["анна@пример.рф", "АННА@ПРИМЕР.РФ", "Анна@xn--e1afmkfd.xn--p1ai"]
)
def test_a_domain_is_one_in_unicode_and_in_ascii(address: str) -> None:
    person = Person(address)
    for spelling in ("анна@пример.рф", "Анна@XN--E1AFMKFD.xn--p1ai"):
        assert person.is_one(spelling)
        assert person.is_in(f"https://x.example/?{spelling}")
    assert person.is_in("?to=%D0%B0%D0%BD%D0%BD%D0%B0%40xn--e1afmkfd.xn--p1ai")
    assert person.is_in("=?utf-8?b?0JDQvdC90LBA0L/RgNC40LzQtdGALtGA0YQ=?=")


def test_letters_composed_in_another_way_are_the_same() -> None:
    assert Person("zoe\u0308@mail.example").is_one("ZO\u00cb@mail.example")


@pytest.mark.parametrize(
    "address", ["", "anna", "@", "anna@", "@example.com", "a@b@c", "a b@example.com", "<>"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="no email address"):
        Person(address)


@pytest.mark.parametrize(
    ("address", "spelling"),
    [
        ("anna.strasse@mail.example", "Anna.Stra\u00dfe@mail.example"),
        ("anna.stra\u00dfe@mail.example", "ANNA.STRASSE@mail.example"),
        ('"anna ott"@mail.example', '"Anna Ott"@mail.example'),
        ('"anna@home"@mail.example', '"anna@home"@mail.example'),
        (r'"anna\"s"@mail.example', r'"Anna\"s"@mail.example'),
    ],
)
def test_whoever_gets_emails_can_be_erased(address: str, spelling: str) -> None:
    person = Person(address)
    assert person.is_one(spelling)
    assert person.is_one(address)
    assert person.may_be_in(msgspec.msgpack.encode([spelling]))


@given(
    local=st.text("aZ09.-+_\'=éЖßſﬁ", min_size=1).filter(lambda text: text.strip('"')),
    before=st.sampled_from(["", "<", "=", " ", '"', "https://x.example/?q="]),
    encode=st.sampled_from([str, lambda text: "".join(f"%{b:02X}" if b in b"@+=" else chr(b)
        for b in text.encode()) if text.isascii() else text,
        lambda text: "".join(f"%{b:02X}" for b in text.encode()),
        lambda text: "".join(f"%25{b:02x}" for b in text.encode())]),
    change=st.sampled_from([str.upper, str.casefold, str]),
)  # fmt: skip
def test_the_quick_look_misses_nothing(
    local: str, before: str, encode: Callable[[str], str], change: Callable[[str], str]
) -> None:
    person = Person(f"{local}@mail.example")
    text = before + encode(f"{change(local)}@mail.example")
    if person.is_in(text):
        assert person.may_be_in(msgspec.msgpack.encode([text]))
        assert person.may_be_in(msgspec.json.encode([text]))
    assert person.is_in(f"<{local}@Mail.Example>")
