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
    pixel_of,
    run,
    tracking_link,
    without_image,
)
from support.rewrite_plans import CHARSETS, ENCODINGS, STRUCTURES, check_plan, plain_html, plan_of

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"


def seeds(name: str) -> list[Path]:
    return sorted(path for path in (CORPUS / name).iterdir() if path.is_file())


both = pytest.mark.parametrize("opens", [False, True], ids=["clicks", "opens"])


@both
@pytest.mark.parametrize("path", seeds("html"), ids=lambda path: path.stem)
def test_an_html_seed_keeps_all_promises(path: Path, opens: bool) -> None:
    check_plan(plain_html(path.read_bytes()), opens=opens)


@both
@pytest.mark.parametrize("path", seeds("parts"), ids=lambda path: path.stem)
def test_a_seed_with_choices_keeps_all_promises(path: Path, opens: bool) -> None:
    plan = plan_of(path.read_bytes())
    assert plan is not None
    check_plan(plan, opens=opens)


@both
@pytest.mark.parametrize("path", seeds("mime"), ids=lambda path: path.stem)
def test_an_email_seed_keeps_all_promises(path: Path, opens: bool) -> None:
    check_message(path.read_bytes(), opens=opens)


def check_plans(structure: int, charset: int, all_flags: tuple[int, ...]) -> None:
    html = (CORPUS / "html" / "unicode.html").read_bytes()
    for encoding in range(len(ENCODINGS)):
        for flags in all_flags:
            plan = plan_of(bytes((structure, charset, encoding, 0, flags)) + html)
            if plan is not None:
                check_plan(plan)
                check_plan(plan, opens=True)


@pytest.mark.parametrize("charset", range(len(CHARSETS)), ids=CHARSETS)
@pytest.mark.parametrize("structure", range(len(STRUCTURES)))
def test_every_structure_with_every_charset_and_encoding(structure: int, charset: int) -> None:
    check_plans(structure, charset, (2, 11))


@pytest.mark.long
@pytest.mark.parametrize("charset", range(len(CHARSETS)), ids=CHARSETS)
@pytest.mark.parametrize("structure", range(len(STRUCTURES)))
def test_every_structure_with_every_other_choice(structure: int, charset: int) -> None:
    check_plans(structure, charset, (3, 6, 7, 10))


def test_the_seeds_track_links_and_opens() -> None:
    results = {path.stem: run(path.read_bytes(), opens=True)[0] for path in seeds("mime")}
    assert sum(bool(result.links) for result in results.values()) >= 8, results
    assert sum(result.pixel for result in results.values()) >= 8, results


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


IMAGE = (
    f'<img src="{pixel_of(SALT)}" width="1" height="1" alt=""'
    ' style="display:block;width:1px;height:1px;border:0">'
)
SHOWN = AFTER + IMAGE


def test_the_checks_leave_out_the_image_where_it_is_shown() -> None:
    assert without_image(SHOWN, SALT, exact=True) == (AFTER, 1)
    assert without_image(AFTER, SALT, exact=True) == (AFTER, 0)


@pytest.mark.parametrize(
    "after",
    [
        f"<!--{SHOWN}",
        f"<template>{SHOWN}",
        f"{AFTER}<style>{SHOWN}",
        f"<p {IMAGE}",
        SHOWN + SHOWN,
        SHOWN.replace('width="1"', 'width="10"'),
    ],
)
def test_the_checks_notice_an_image_that_is_not_as_it_should_be(after: str) -> None:
    with pytest.raises(Broken):
        without_image(after, SALT, exact=True)


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
