"""Quoted-printable, malformed too: what is not replaced stays, byte for byte."""

import re
from random import Random

import pytest

from clicktrail.rewrite.mime import quoted
from links.casefile import read_quoted

PIECES = (
    *(b"=", b"==", b"=3D", b"=3d", b"=E9", b"=20", b"=00", b"=4", b"=z", b"=0D", b"=0A", b"=0D=0A"),
    *(b"=\r\n", b"=\n", b"= \r\n", b"=\t\n", b"=\r", b"\r", b"\n", b"\r\n", b" \r\n", b"\t\n"),
    *(b"x", b"y" * 30, b"z" * 77, b" ", b"<a>", b"--", "é".encode()),
)
NEW = (b"http://q.example/" + b"q" * 90, b"https://q.example/", b"")


def body_of(rng: Random) -> bytes:
    return b"".join(rng.choices(PIECES, k=rng.randint(1, 14)))


def decoded(body: bytes) -> bytes:
    return quoted.decode(body, clear=quoted.is_clear(body))


def spliced(body: bytes, data: bytes, edits: list[quoted.Edit], newline: bytes) -> bytearray | None:
    return quoted.splice(body, data, edits, newline, clear=quoted.is_clear(body))


def lines_of(body: bytes) -> list[bytes]:
    return re.split(rb"\r?\n", body)


@pytest.mark.parametrize("part", range(4))
def test_any_body_is_read_as_the_standard_says(part: int) -> None:
    for number in range(part * 2500, (part + 1) * 2500):
        body = body_of(Random(number))
        assert decoded(body) == read_quoted(body), body


@pytest.mark.parametrize("automata", [True, False])
def test_what_is_usual_is_found_alike_with_and_without_automata(
    automata: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not automata:
        monkeypatch.setattr(quoted, "_USUAL_QUICKLY", None)
        monkeypatch.setattr(quoted, "_PADDED_QUICKLY", None)
        monkeypatch.setattr(quoted, "_CLEAR_QUICKLY", None)
    for number in range(3000):
        body = body_of(Random(number))
        odd = re.search(
            rb"=(?![0-9A-Fa-f]{2}|\r?\n)|[ \t](?:\r?\n|\Z)", body.replace(b"=\r\n", b"=\n")
        )
        assert quoted._is_usual(body) == (odd is None), body
        lone = re.search(rb"=0[Dd]|\r(?!\n)", body)
        assert quoted.is_clear(body) == (odd is None and lone is None), body
    for size in range(200):  # of each length: libraries for automata go by blocks
        for end in (b"\t\n", b" \r\n", b" ", b"=", b"=4", b"=\r", b"=\n ", b" =", b"=g\n"):
            assert not quoted._is_usual(b"y" * size + end), (size, end)
            assert not quoted.is_clear(b"y" * size + end), (size, end)
        for end in (b"=\r\n", b"=\n", b"\n", b"\r\n", b" =\n", b"=3D", b" =20", b"", b" x"):
            assert quoted._is_usual(b"y" * size + end), (size, end)
            assert quoted.is_clear(b"y" * size + end), (size, end)
        for end in (b"\r", b"\r\r\n", b"=0D", b"=0d=0a", b" \r", b"\rz"):
            assert not quoted.is_clear(b"y" * size + end), (size, end)


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_only_what_is_replaced_changes(newline: bytes) -> None:
    """What is put in the place of values, at any place of any body, and no line gets too long."""
    refused = 0
    for number in range(6000):
        rng = Random(number)
        body = body_of(rng) + b'href="http://old.example/"' + body_of(rng)
        data = decoded(body)
        start = data.find(b"http://old")
        if start < 0:
            continue  # an "=" before it took its first letter
        edit = start, start + len(b"http://old.example/"), rng.choice(NEW)
        changed = spliced(body, data, [edit], newline)
        if changed is None:
            refused += 1
            continue
        assert read_quoted(bytes(changed)) == quoted.apply(data, [edit]), body
        before, after = lines_of(body), lines_of(bytes(changed))
        assert all(len(line) <= quoted.LINE or line in before for line in after), body
        head = body[: body.index(b"http://old")].rpartition(b"\n")[0]
        tail = body.partition(b"old.example/")[2].partition(b"\n")[2]
        assert changed.startswith(head)
        assert changed.endswith(tail)
    assert refused < 10


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_what_is_encoded_anew_is_read_the_same_and_has_no_long_line(newline: bytes) -> None:
    for number in range(4000):
        data = decoded(body_of(Random(number)) + body_of(Random(-number - 1)))
        encoded = quoted.encode(data, newline)
        assert read_quoted(encoded) == data
        assert max(map(len, encoded.split(newline))) <= quoted.LINE
        assert newline == b"\n" or b"\n" not in encoded.replace(newline, b"")
        assert b"\r" not in encoded.replace(newline, b"")


def test_white_space_that_comes_to_a_line_end_is_encoded() -> None:
    for body in (b"x k=3Dv\r\n", b"x k=3Dv  \r\n", b"x k=3Dv", b"x k=3Dv=\r\n\r\n"):
        data = decoded(body)
        changed = spliced(body, data, [(2, 5, b"")], b"\r\n")
        assert changed is not None
        assert read_quoted(bytes(changed)) == data.replace(b"k=v", b"")


def test_what_was_added_to_a_line_goes_with_its_end() -> None:
    body = b'<a id=c \r\nk=3D"" \r\nhref=3Dx>'
    data = decoded(body)
    start, end = data.index(b"\r\nk"), data.index(b"\r\nhref")
    changed = spliced(body, data, [(start, end, b"")], b"\r\n")
    assert bytes(changed or b"") == b"<a id=c \r\nhref=3Dx>"


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_a_sign_that_begins_no_escape_does_not_become_one(newline: bytes) -> None:
    """What follows it is replaced, or removed so that it stands before something else."""
    for kept in (b"=", b"==", b"===", b"=4", b"==4", b"=\r", b"=E", b"= ", b"=0="):
        for new in (b"", b"A", b"=", b"D=0", b" ", b"q" * 90):
            for behind in (b"=20/>", b"0", b"=\n", b"\r\n0D", b"F=", b""):
                body = b"x" * 70 + b"<td " + kept + b"zz" + behind
                data = decoded(body)
                start = data.rindex(b"zz")
                changed = spliced(body, data, [(start, start + 2, new)], newline)
                assert changed is not None, body
                assert read_quoted(bytes(changed)) == quoted.apply(data, [(start, start + 2, new)])
                assert max(map(len, lines_of(bytes(changed)))) <= quoted.LINE
