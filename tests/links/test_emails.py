"""Real emails, in every transfer encoding.

Over the examples of this repository always, and over the folder that ``TEST_CORPUS`` names.
"""

import os
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from links import urlrules
from links.casefile import is_own, tracking_link
from links.envelopes import ENCODINGS, alternative, ascii_only, html_of, skeleton
from links.verdict import find, may_be_tracked_as, tags_of
from support.pixels import IMAGE, PIXEL, is_shown

REPOSITORY = Path(__file__).parents[2]
FOLDERS = [REPOSITORY / "examples"]
if corpus := os.environ.get("TEST_CORPUS"):
    FOLDERS.append(Path(corpus))
EMAILS = [path for folder in FOLDERS for path in sorted(folder.rglob("*.html"))]
TRACKING = Policy(link=tracking_link, is_own=is_own)


@cache
def text_of(path: Path) -> str:
    """Return the document with CR LF lines, as it goes over the wire."""
    text = path.read_bytes().decode("utf-8")
    return re.sub(r"\r\n|\r|\n", "\r\n", text)


def wrap(path: Path, encoding: str) -> tuple[str, bytes]:
    text = text_of(path)
    if encoding == "7bit":
        text = ascii_only(text)
    return text, alternative(text, encoding)


def check_whole(text: str, raw: bytes, result: Rewritten) -> None:
    """Check that nothing but values and removed attributes has changed, and that it is valid.

    And that the image stands where it is shown.
    """
    output, _ = html_of(result.message)
    assert (len(IMAGE.findall(output)), is_shown(output)) == (1, True)
    output = IMAGE.sub("", output)
    assert skeleton(result.message) == skeleton(raw)
    assert max(map(len, result.message.split(b"\r\n"))) <= 998
    assert b"\n" not in result.message.replace(b"\r\n", b"")
    pieces = re.split(
        "|".join(re.escape(tracking_link(link.index, link.url)) for link in result.links), output
    )
    assert len(pieces) == len(result.links) + 1
    removed = r"(?:\s+(?:postbox|ses):(?:tags|no-track)(?:=\"[^\"]*\"|='[^']*')?)"
    rest = re.sub(removed, "", text)
    end = 0
    for number, piece in enumerate(pieces):
        place = rest.find(piece, end)
        assert place >= 0, f"changed: {piece[:200]!r}"
        gone = rest[end:place]
        assert (number > 0) == bool(gone)
        assert not set(gone) & set("\"'"), f"more than a value is gone: {gone!r}"
        end = place + len(piece)
    assert end == len(rest)


@pytest.mark.skipif(
    not corpus, reason="TEST_CORPUS names no folder of real emails: only examples/ were run"
)
def test_corpus_is_given_and_has_emails() -> None:
    assert list(Path(str(corpus)).rglob("*.html"))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("path", EMAILS, ids=lambda path: path.stem)
def test_every_link_of_a_real_email_is_tracked_and_the_rest_stays(
    path: Path, encoding: str
) -> None:
    text, raw = wrap(path, encoding)
    result = rewrite_message(raw, replace(TRACKING, pixel=PIXEL))
    without = rewrite_message(raw, TRACKING)
    assert (result.links, result.reason) == (without.links, without.reason)
    if result.reason is not None:
        assert without.message == raw
        assert not re.search(r"<(?:a|area|v:\w+)\s[^>]*href=[\"']https?:", text, re.IGNORECASE)
        return
    check_whole(text, raw, result)


@pytest.mark.parametrize("path", EMAILS, ids=lambda path: path.stem)
def test_links_of_a_real_email_are_those_that_parsers_find(path: Path) -> None:
    text, raw = wrap(path, "base64")
    result = rewrite_message(raw, TRACKING)
    found = find(text)
    tracked = {link.offset: link for link in result.links}
    assert tracked.keys() <= found.possible
    for offset, tag in found.certain.items():
        answer = may_be_tracked_as(tag, found)
        link = tracked.get(offset)
        assert answer is urlrules.ANY or (link.url if link else None) in answer
        assert link is None or link.tags == tags_of(tag)


@pytest.mark.parametrize("path", EMAILS, ids=lambda path: path.stem)
def test_a_plain_search_finds_no_link_that_was_forgotten(path: Path) -> None:
    """No parser at all, so nothing that a parser could be wrong about: look for http in href."""
    raw = wrap(path, "8bit")[1].replace(b"ses:no-track", b"data-pm-no-track")
    output, _ = html_of(rewrite_message(raw, TRACKING).message)
    visible = re.sub(
        r"<!--(?!\[if).*?-->|<style.*?</style>|<script.*?</script>", "", output, flags=re.S
    )
    elements = re.findall(
        r"<(?:a|area|v:\w+)\s(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", visible, re.IGNORECASE
    )
    for element in elements:
        href = re.search(r"\shref\s*=\s*[\"']?\s*(https?://[^\s\"'>]+)", element, re.IGNORECASE)
        off = re.search(r"clicktracking=\"?off|data-pm-no-track", element)
        assert not href or off or is_own(href[1]), element
