from email.message import EmailMessage
from email.utils import getaddresses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clicktrail.errors import InvalidInput
from clicktrail.ingress.mailbox import CONTROL, Mailbox, list_header, read_mailbox

NAMES = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), max_size=120)


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("a@example.com", "", "a@example.com"),
        ("  a@example.com ", "", "a@example.com"),
        ("<a@example.com>", "", "a@example.com"),
        ("Ann <a@example.com>", "Ann", "a@example.com"),
        ("Dr. Ann <a@example.com>", "Dr. Ann", "a@example.com"),
        ('"Smith, Ann" <a@example.com>', "Smith, Ann", "a@example.com"),
        (r'"Ann \"A\" \\ S" <a@example.com>', 'Ann "A" \\ S', "a@example.com"),
        ("=?utf-8?q?J=C3=B6rg?= <j@example.com>", "Jörg", "j@example.com"),
        ("=?x-unknown?q?J=C3?= <j@example.com>", "=?x-unknown?q?J=C3?=", "j@example.com"),
        ("Jörg <j@bücher.example>", "Jörg", "j@xn--bcher-kva.example"),
        ('"a b"@example.com', "", '"a b"@example.com'),
        ("a+tag@[192.0.2.1]", "", "a+tag@[192.0.2.1]"),
        ("a@localhost", "", "a@localhost"),
    ],
)
def test_an_address_is_read(text: str, name: str, address: str) -> None:
    assert read_mailbox(text, "To") == Mailbox(name, address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@example.com",
        "a@",
        "a b@example.com",
        "a@example.com, b@example.com",
        "a@example.com, B <b@example.com>",
        "Group: a@example.com;",
        "a@exa mple.com",
        "a@example.com:25",
        "a..b@example.com",
        ".a@example.com",
        "ü@example.com",
        "a@-example.com",
        "a@" + "b" * 64 + ".com",
        "x" * 65 + "@example.com",
        "<a@example.com> b",
        "Ann <<a@example.com>>",
        "Ann <a@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "Ann\n <a@example.com>",
        "Ann\0 <a@example.com>",
        "=?utf-8?q?A=0D=0ABcc=3A_x?= <a@example.com>",
        "n" * 1000 + " <a@example.com>",
    ],
)
def test_what_is_not_one_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^ToAddresses: "):
        read_mailbox(text, "ToAddresses")


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_names_survive_the_header_and_never_become_addresses(names: list[str]) -> None:
    mailboxes = [Mailbox(n.strip(), f"a{i}@example.com") for i, n in enumerate(names)]
    value = list_header(mailboxes)
    assert value.isascii()
    assert all(
        len(line) <= 400 and (n == 0 or line[0] == " ")
        for n, line in enumerate(value.split("\r\n"))
    )
    unfolded = value.replace("\r\n", "")
    expected = [mailbox.address for mailbox in mailboxes]
    assert [address for _, address in getaddresses([unfolded])] == expected
    message = EmailMessage()
    message["To"] = unfolded
    parsed = message["To"].addresses
    assert [each.addr_spec for each in parsed] == expected
    for each, mailbox in zip(parsed, mailboxes, strict=True):
        assert "".join(each.display_name.split()) == "".join(mailbox.name.split())


SOUP = st.lists(
    st.sampled_from([*' \t\r\n\0,;:<>@()[]"\\=?.-é', "a", "b.c", "=?utf-8?q?=0D=0A?=", "N <a@b.c>"])
).map("".join)


@settings(max_examples=500)
@given(SOUP | st.text())
def test_whatever_is_written_is_one_address_or_refused(text: str) -> None:
    try:
        mailbox = read_mailbox(text, "To")
    except InvalidInput:
        return
    value = list_header([mailbox])
    assert not CONTROL.search(value.replace("\r\n ", " "))
    assert [address for _, address in getaddresses([value.replace("\r\n", "")])] == [
        mailbox.address
    ]
