"""What is not the value of a tracked link, nor a removed attribute, stays as it is.

Three tests of growing reach:

1. A policy that gives back each URL as it was written makes no change at all: the email comes out
   byte for byte. The policy is handed the decoded URL and not the raw value, so this is asked of
   documents whose links are written plainly, within whatever mess; their own raw value is then the
   URL, and any other change of the text would show.
2. With tracking links, the raw values put back where the tracking links are give the input again.
3. Over documents of every kind, tags and duplicate attributes included, the judge compares tokens
   and, where it can, the whole output (`verdict`).

All of it with opens on as well: without the image, each email is what it is without them.
"""

import re
from dataclasses import replace
from functools import partial
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from links.casefile import is_own, tracking_link
from links.documents import document, simple_document
from links.envelopes import ENCODINGS, alternative, ascii_only, html_of, skeleton
from support.pixels import IMAGE, PIXEL

TRACKING = Policy(link=tracking_link, is_own=is_own)
AS_WRITTEN = Policy(link=lambda _, url: url, is_own=is_own)
IMAGE_BYTES = re.compile(IMAGE.pattern.encode())
_PLAIN = re.compile(r"(https?://[\w./]+)")

rounds = settings(
    max_examples=60,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


both = pytest.mark.parametrize("pixel", [None, PIXEL], ids=["clicks", "opens"])


def shown_of(result: Rewritten, pixel: str | None) -> tuple[str, str]:
    """Return the HTML of an email without the image, of which there is at most one, and how it is
    encoded."""
    html, encoding = html_of(result.message)
    assert len(IMAGE.findall(html)) == result.pixel <= (pixel is not None)
    return IMAGE.sub("", html), encoding


def prepared(text: str, encoding: str) -> str:
    """Make a document one that the transfer encoding can hold as it is."""
    text = re.sub(r"\r\n|\r|\n", "\r\n", text)
    return ascii_only(text) if encoding == "7bit" else text


def marked_link(mark: str, index: int, _: str) -> str:
    return f"http://{mark}/{index}"


def without_tags(text: str) -> str:
    """Take away the attributes that the rewriter would remove."""
    return re.sub(r"(postbox|ses):", "other-", text, flags=re.IGNORECASE)


@both
@pytest.mark.parametrize("encoding", ENCODINGS)
@rounds
@given(rng=st.randoms(use_true_random=False))
def test_links_given_back_as_written_change_not_one_byte(
    pixel: str | None, encoding: str, rng: Random
) -> None:
    text = prepared(simple_document(rng), encoding)
    raw = alternative(text, encoding)
    result = rewrite_message(raw, replace(AS_WRITTEN, pixel=pixel))
    for link in result.links:
        assert _PLAIN.fullmatch(link.url)
        assert link.url in text
    if encoding in ("7bit", "8bit"):
        assert IMAGE_BYTES.sub(b"", result.message) == raw
    assert shown_of(result, pixel) == (text, encoding)
    assert skeleton(result.message) == skeleton(raw)


@both
@pytest.mark.parametrize("encoding", ENCODINGS)
@rounds
@given(rng=st.randoms(use_true_random=False))
def test_raw_values_put_back_give_the_email_again(
    pixel: str | None, encoding: str, rng: Random
) -> None:
    text = prepared(without_tags(document(rng)), encoding)
    raw = alternative(text, encoding)
    result = rewrite_message(raw, replace(TRACKING, pixel=pixel))
    if not result.links:
        assert result.pixel or result.message == raw
        assert shown_of(result, pixel)[0] == text
        return
    output, _ = shown_of(result, pixel)
    links = [re.escape(tracking_link(link.index, link.url)) for link in result.links]
    pieces = re.split("|".join(links), output)
    assert len(pieces) == len(links) + 1, "each tracking link is in the output once"
    pattern = "(.*?)".join(map(re.escape, pieces))
    assert re.fullmatch(pattern, text, re.DOTALL), f"{text!r} became {output!r}"
    assert skeleton(result.message) == skeleton(raw)


@both
@pytest.mark.parametrize("encoding", ENCODINGS)
@rounds
@given(rng=st.randoms(use_true_random=False))
def test_the_text_of_the_links_does_not_matter(
    pixel: str | None, encoding: str, rng: Random
) -> None:
    """Short links and very long ones differ in nothing but themselves."""
    text = prepared(document(rng), encoding)
    raw = alternative(text, encoding)
    outputs = []
    for mark in ("z", "z" * 1500):
        policy = Policy(link=partial(marked_link, mark), is_own=is_own, pixel=pixel)
        result = rewrite_message(raw, policy)
        assert max(map(len, result.message.split(b"\r\n"))) <= 998 or result.message == raw
        output, _ = shown_of(result, pixel)
        outputs.append(output.replace(mark, "z") if result.links else text)
        assert skeleton(result.message) == skeleton(raw)
    assert outputs[0] == outputs[1]


@both
@rounds
@given(rng=st.randoms(use_true_random=False))
def test_an_email_that_was_rewritten_is_not_rewritten_again(pixel: str | None, rng: Random) -> None:
    """All its links are this installation's own by then."""
    raw = alternative(document(rng).replace(":no-track", ":x"), "base64")
    once = rewrite_message(raw, replace(TRACKING, pixel=pixel))
    other = pixel and f"{pixel}-of-another"
    twice = rewrite_message(once.message, replace(TRACKING, pixel=other))
    if once.links:
        assert not twice.links
        assert twice.message == once.message
