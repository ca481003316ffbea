"""The judge: links found in random nasty documents against those of two real HTML5 parsers.

The criterion is told in `verdict`. ``JUDGE_EXAMPLES`` sets how many documents the first
two tests make; `judge_driver.py` makes millions, over all processors.
"""

import os
from random import Random, SystemRandom

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from links import urlrules
from links.casefile import Case, load_all
from links.documents import document
from links.judge import read_html5lib, read_turbohtml
from links.judge_driver import judge_batch
from links.trial import judge_document
from links.verdict import expected_output, find, may_be_tracked_as, tags_of

EXAMPLES = int(os.environ.get("JUDGE_EXAMPLES", "200"))
MANY = int(os.environ.get("JUDGE_EXAMPLES", "20000"))
HTML = [case for case in load_all() if not case.is_mime]

quiet = settings(
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@settings(quiet, max_examples=EXAMPLES, derandomize="JUDGE_EXAMPLES" not in os.environ)
@given(st.randoms(use_true_random=False), st.booleans())
def test_links_are_those_that_real_parsers_find(rng: Random, opens: bool) -> None:
    text = document(rng)
    wrong = judge_document(text, rng, opens=opens)
    assert not wrong, "\n".join([f"document: {text!r}", *wrong])


@pytest.mark.long
def test_links_are_those_that_real_parsers_find_in_many_documents() -> None:
    """With opens on. Other documents each time; their numbers are those of `judge_driver.py`."""
    first = SystemRandom().randrange(10**9)
    for start in range(first, first + MANY, 500):
        for number, text, wrong in judge_batch(start, 500):
            raise AssertionError("\n".join([f"document {number}: {text!r}", *wrong]))


@pytest.mark.long
@settings(quiet, max_examples=3_000)
@given(st.text(alphabet=" \n\0<>/!-[]='\"&;#?aAhrefHREFscriptylx:vmo.", max_size=200))
def test_noise_of_markup_is_read_as_real_parsers_read_it(text: str) -> None:
    wrong = judge_document(text, opens=len(text) % 2 > 0)
    assert not wrong, "\n".join([f"document: {text!r}", *wrong])


@pytest.mark.parametrize("case", HTML, ids=lambda case: case.name)
def test_judge_agrees_with_the_cases(case: Case) -> None:
    """What is written by hand and what the parsers say cannot both be wrong in the same way."""
    text = case.html_input
    found = find(text)
    expected = [(link.url, link.tags) for link in case.links]
    reached = {0}  # how many of the expected links may be those of the elements so far
    for _, tag in sorted(found.certain.items()):
        answer, tags = may_be_tracked_as(tag, found), tags_of(tag)
        stay = reached if answer is urlrules.ANY or None in answer else set()
        go_on = {
            count + 1
            for count in reached
            if count < len(expected)
            and expected[count][1] == tags
            and (answer is urlrules.ANY or expected[count][0] in answer)
        }
        reached = stay | go_on
    assert len(expected) in reached


def test_judge_sees_most_documents_clearly() -> None:
    """A judge that answers "anything is right" would let everything pass."""
    certain = doubtful = whole = 0
    for seed in range(300):
        text = document(Random(seed))
        found = find(text)
        whole += expected_output(text, found, ()) is not None
        for tag in found.certain.values():
            doubtful += may_be_tracked_as(tag, found) is urlrules.ANY
            certain += 1
    assert certain > 200
    assert doubtful < certain / 5
    assert whole > 150


def test_parsers_agree_with_one_another() -> None:
    """They differ only where the standard has changed between them, which is rare."""
    different = 0
    for seed in range(300):
        text = document(Random(seed))
        first, second = read_html5lib(text), read_turbohtml(text)
        for offset, tag in second.tags.items():
            same = offset in first.tags and first.tags[offset].attributes == tag.attributes
            different += not same
    assert different < 10
