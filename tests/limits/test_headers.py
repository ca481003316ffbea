"""Readers of header fields take as long as the fields are, up to the longest email."""

import contextlib
from collections.abc import Callable

import pytest

from clicktrail.errors import InvalidInput
from clicktrail.headers.addresses import UnreadableAddress, mailboxes, senders_in
from clicktrail.headers.fields import HEADER_LIMIT, HeaderTooLong, read_header, without_fields
from clicktrail.headers.parameters import parse_type, without_comments
from clicktrail.headers.words import decoded_words
from clicktrail.ingress.dkim import NotSignable, Signer
from clicktrail.ingress.options.tags import read_tags
from clicktrail.keys import dkim as dkimkey
from clicktrail.keys.vault import KEY_SIZE, Vault
from clicktrail.model import Dkim, Identity, Link, Message
from clicktrail.publish.addresses import domain_in, split_addresses
from clicktrail.publish.event import mail_object
from clicktrail.rewrite import Policy, rewrite_message
from clicktrail.rewrite.html.tags import parse_tags
from clicktrail.rewrite.warn import about_fields
from clicktrail.rules.recipients import checked_recipient, recipient_key
from clicktrail.rules.wishes import allowed_by, checked_entry
from clicktrail.store.finding.texts import text_of
from clicktrail.store.mail.grouping import mailings_of
from clicktrail.store.people.person import Person
from limits.growth import Row, check_growth

VAULT = Vault(bytes(KEY_SIZE))
IDENTITY = Identity("id", "b.c")
KEY = Dkim("s", VAULT.seal(dkimkey.generate(1024), dkimkey.purpose("b.c")), "AWS_SES")
SIGNER = Signer(VAULT)


def repeated(piece: str, before: str) -> Callable[[int], str]:
    """Return a maker of that piece again and again."""
    return lambda size: before + piece * (size // len(piece))


def raw(piece: bytes, before: bytes) -> Callable[[int], bytes]:
    """Return a maker of an email of that piece again and again."""
    return lambda size: before + piece * (size // len(piece)) + b"\r\nx\r\n"


def read(given: bytes) -> None:
    """Read a header, which may be longer than one may be."""
    with contextlib.suppress(HeaderTooLong):
        read_header(given)


def addresses(given: str) -> None:
    """Read an address list in every way."""
    for read_list in (mailboxes, senders_in, split_addresses, domain_in):
        with contextlib.suppress(UnreadableAddress):
            read_list(given)


def find(given: str) -> None:
    """Find an email by a header of this value: what is done in the store."""
    header = tuple((name, given) for name in ("Subject", "To", "Message-ID"))
    email = Message("id", 0, "a@b.c", (), headers=header, links=(Link(0, "http://a/"),))
    text_of(email)
    mailings_of(email)
    Person("a@b.c").is_in(given)


def tell(given: str) -> None:
    """Make the notification of an email with this value in its header."""
    names = ("From", "To", "Subject", "Received", "References", "DKIM-Signature")
    mail_object(Message("id", 0, "a@b.c", (), headers=tuple((name, given) for name in names)))


def rewrite(given: bytes) -> None:
    """Rewrite an email."""
    rewrite_message(given, Policy(link=lambda *_: "http://own/", is_own=lambda _: False))


def sign(given: bytes) -> None:
    """Sign an email."""
    with contextlib.suppress(NotSignable):
        SIGNER.signature(given, IDENTITY, KEY)


def control(given: str) -> None:
    """Read what the sender tells us."""
    read_tags({}, [given])
    about_fields((("List-Unsubscribe", given),))
    assert len(allowed_by(given.split(" ")).warnings) < 2


def recipient(given: str) -> None:
    """Look an address up, and put it on a list."""
    for address in (given, f"{given}@b.c"):
        recipient_key(address)
    for check in (checked_recipient, checked_entry):
        with contextlib.suppress(InvalidInput):
            check(given)


MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
NASTY = {
    "spaces": (" ", ""),
    "letters": ("a", ""),
    "signs": ("@", ""),
    "addresses": ("a@b.c, ", ""),
    "names": ('"a, b" <a@b.c>,', ""),
    "commas": (",", ""),
    "comments": ("(a)", "a@b.c "),
    "deep comments": ("(", "a@b.c "),
    "deep comments, closed": ("((a))", "a@b.c "),
    "open quotes": ('"a', ""),
    "escapes": ('\\"', ""),
    "escapes in quotes": ('\\"', '"'),
    "backslashes": ("\\", '"'),
    "brackets": ("<", ""),
    "groups": ("a:", ""),
    "literals": ("a@[", ""),
    "words": ("=?utf-8?q?a=C3=A9?= ", ""),
    "words side by side": ("=?utf-8?b?w6k=?=", ""),
    "words of charsets": ("=?utf-8?q?a?= =?koi8-r?q?=C1?=", ""),
    "open words": ("=?utf-8?q?", ""),
    "beginnings of words": ("=?", ""),
    "a long word": ("=41", "=?utf-8?q?"),
    "punycode": ("a", "=?punycode?q?"),
    "percent signs": ("%25", ""),
    "semicolons": (";", "a/b"),
    "equals signs": ("=", "a/b; a"),
    "parameters": ("; a=b", "a/b"),
    "parameters with names": ("; a*0*=%41", "a/b"),
    "open parameters": ('; a="', "a/b"),
    "escaped parameters": ('\\"', 'a/b; a="'),
    "parameters after comments": ("(a);b=c", "a/b"),
    "tags": ("a=b, ", ""),
    "broken tags": ("a,", ""),
    "colons": ("a:b;", ""),
    "labels": ("\u00e9.", "a@"),
    "marks": ("\u0301\u0316", "a"),
    "marks before an address": ("@b.c, a\u0301\u0316" + "\u0301\u0316" * 2000, "a"),
    "letters of a label": ("\u00e9", "a@"),
}
READERS: dict[str, Callable[[str], object]] = {
    "addresses": addresses,
    "words": decoded_words,
    "type": parse_type,
    "comments": without_comments,
    "terms": find,
    "notification": tell,
    "control": control,
    "recipient": recipient,
    "tags of a link": parse_tags,
}
HEADERS = {
    "fields": (b"A: b\r\n", b""),
    "folds": (b" \r\n", b"A: b\r\n"),
    "folded fields": (b"A: b\r\n\t c\r\n", b""),
    "a line without end": (b"A", b""),
    "spaces before a colon": (b"A ", b""),
    "lone CRs": (b"A: b\r", b""),
    "a lone CR behind folds": (b" a\r\n\r", b"A: b\r\n"),
    "lone LFs": (b"A: b\n", b""),
    "a mailbox line": (b" 1 00:00", b"From x"),
    "mailbox lines": (b"From x Mon Nov 23 18:00:00 2026\r\n", b""),
    "blank copies": (b"Bcc: a\r\nA: b\r\n", b""),
    "types": (b"Content-Type: text/html\r\n", b""),
    "encodings": (b"Content-Transfer-Encoding: x\r\n", b""),
    "parts": (
        b"--b\r\nContent-Type: text/html\r\n\r\nx\r\n",
        MULTIPART,
    ),
    "dashes": (b"--", MULTIPART),
    "lines of dashes": (b"\r\n--", MULTIPART),
    "white space in the body": (b" ", b"From: a@b.c\r\n\r\n"),
    "white lines in the body": (b" \r\n", b"From: a@b.c\r\n\r\n"),
}
HEADER_READERS: dict[str, Callable[[bytes], object]] = {
    "reader": read,
    "remover": lambda given: without_fields(given, {"bcc"}),
    "rewriter": rewrite,
    "signer": sign,
}
ROWS = [
    *(
        Row(f"{reader}: {name}", repeated(piece, before), parse, HEADER_LIMIT)
        for name, (piece, before) in NASTY.items()
        for reader, parse in READERS.items()
    ),
    *(
        Row(f"{reader}: {name}", raw(piece, before), parse, HEADER_LIMIT)
        for name, (piece, before) in HEADERS.items()
        for reader, parse in HEADER_READERS.items()
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_time_grows_with_the_header_and_no_faster(row: Row) -> None:
    check_growth(row.shorter())


@pytest.mark.long
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_time_grows_with_the_header_and_no_faster_up_to_the_limit(row: Row) -> None:
    check_growth(row)
