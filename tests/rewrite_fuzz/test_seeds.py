"""The seeds of the fuzzers keep the rewriter's promises, and the checks notice broken ones."""

from pathlib import Path

import pytest

from clicktrail.model import Link
from support.rewrite_checks import (
    Broken,
    check_message,
    check_text,
    check_tree,
    check_wire,
    run,
    tracking_link,
)
from support.rewrite_plans import CHARSETS, ENCODINGS, STRUCTURES, check_plan, plain_html, plan_of

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"


def seeds(name: str) -> list[Path]:
    return sorted(path for path in (CORPUS / name).iterdir() if path.is_file())


@pytest.mark.parametrize("path", seeds("html"), ids=lambda path: path.stem)
def test_an_html_seed_keeps_all_promises(path: Path) -> None:
    check_plan(plain_html(path.read_bytes()))


@pytest.mark.parametrize("path", seeds("parts"), ids=lambda path: path.stem)
def test_a_seed_with_choices_keeps_all_promises(path: Path) -> None:
    plan = plan_of(path.read_bytes())
    assert plan is not None
    check_plan(plan)


@pytest.mark.parametrize("path", seeds("mime"), ids=lambda path: path.stem)
def test_an_email_seed_keeps_all_promises(path: Path) -> None:
    check_message(path.read_bytes())


def check_plans(structure: int, charset: int, all_flags: tuple[int, ...]) -> None:
    html = (CORPUS / "html" / "unicode.html").read_bytes()
    for encoding in range(len(ENCODINGS)):
        for flags in all_flags:
            plan = plan_of(bytes((structure, charset, encoding, 0, flags)) + html)
            if plan is not None:
                check_plan(plan)


@pytest.mark.parametrize("charset", range(len(CHARSETS)), ids=CHARSETS)
@pytest.mark.parametrize("structure", range(len(STRUCTURES)))
def test_every_structure_with_every_charset_and_encoding(structure: int, charset: int) -> None:
    check_plans(structure, charset, (2, 11))


@pytest.mark.long
@pytest.mark.parametrize("charset", range(len(CHARSETS)), ids=CHARSETS)
@pytest.mark.parametrize("structure", range(len(STRUCTURES)))
def test_every_structure_with_every_other_choice(structure: int, charset: int) -> None:
    check_plans(structure, charset, (3, 6, 7, 10))


def test_the_seeds_track_links() -> None:
    tracked = [path.stem for path in seeds("mime") if run(path.read_bytes())[0].links]

    assert len(tracked) >= 8, tracked


SALT = "00c0ffee"
URL = "http://a.example/"
BEFORE = f'<p postbox:tags="k:v" id=a>x</p> <a href="{URL}">y</a> z'
OWN = tracking_link(0, URL, SALT)
AFTER = f'<p id=a>x</p> <a href="{OWN}">y</a> z'
LINKS = (Link(0, URL, offset=BEFORE.index("<a")),)


def test_the_checks_accept_what_is_right() -> None:
    assert check_text(BEFORE, AFTER, LINKS, SALT) == [0]
    check_tree(BEFORE, AFTER, SALT)


@pytest.mark.parametrize(
    "after",
    [
        AFTER.replace("z", ""),
        AFTER.replace("z", "zz"),
        AFTER.replace(" id=a", ""),
        AFTER.replace("id=a", "id=b"),
        AFTER.replace("y</a>", "</a>"),
        AFTER.replace(f'"{OWN}"', OWN),
        AFTER.replace(OWN, OWN + "/"),
        AFTER.replace("<p", "<p "),
        AFTER.replace(">x", f">{OWN}"),
        AFTER.replace(OWN, tracking_link(0, URL + "x", SALT)),
    ],
)
def test_the_checks_notice_a_text_that_differs(after: str) -> None:
    with pytest.raises(Broken):
        check_text(BEFORE, after, LINKS, SALT)


def test_the_checks_notice_a_link_that_leads_elsewhere() -> None:
    with pytest.raises(Broken):
        check_text(BEFORE.replace("a.example", "b.example"), AFTER, LINKS, SALT)


@pytest.mark.parametrize(
    "after",
    [AFTER.replace(">x", f">{OWN}"), AFTER.replace("z", "zz"), AFTER.replace("id=a", "id")],
)
def test_the_checks_notice_a_document_that_reads_differently(after: str) -> None:
    with pytest.raises(Broken):
        check_tree(BEFORE, after, SALT)


@pytest.mark.parametrize(
    "after", [b"a\nb\r\n", b"a\rb\r\n", b"\0\r\n", b"\xff\r\n", b"x" * 999 + b"\r\n"]
)
def test_the_checks_notice_lines_that_are_not_as_before(after: bytes) -> None:
    with pytest.raises(Broken):
        check_wire(b"a\r\nb\r\n", after)
