"""Questions that only an installation can ask itself."""

import string

import pytest

from clicktrail.keys.probe import PATH, PATIENCE_SECONDS, ask, prove
from clicktrail.keys.token import Key, KeyRing

NOW = 1_790_000_000.5
OLD = Key(1, bytes(range(64)), 0)
RING = KeyRing([OLD])
ROTATED = KeyRing([OLD, Key(2, bytes(64), 0)])
FOREIGN = KeyRing([Key(1, bytes(range(1, 65)), 0)])


def test_the_same_installation_answers_as_expected() -> None:
    question = ask(RING, NOW)
    assert question.path.startswith(PATH)
    assert prove(RING, question.path, NOW) == question.proof
    assert question.proof not in question.path


def test_a_question_survives_a_rotation_of_keys_but_not_a_missing_key() -> None:
    question = ask(RING, NOW)
    assert prove(ROTATED, question.path, NOW) == question.proof
    assert prove(RING, ask(ROTATED, NOW).path, NOW) is None


def test_another_installation_does_not_answer() -> None:
    assert prove(FOREIGN, ask(RING, NOW).path, NOW) is None


@pytest.mark.parametrize("seconds", [PATIENCE_SECONDS + 1, -PATIENCE_SECONDS - 1])
def test_a_question_does_not_last(seconds: float) -> None:
    assert prove(RING, ask(RING, NOW).path, NOW + seconds) is None


def test_no_question_is_asked_twice() -> None:
    assert len({ask(RING, NOW).path for _ in range(100)}) == 100


def test_a_changed_question_is_none() -> None:
    path = ask(RING, NOW).path
    for at in range(len(PATH), len(path)):
        for letter in (string.ascii_letters + string.digits + "-_.é/")[:: 1 + at % 7]:
            changed = path[:at] + letter + path[at + 1 :]
            assert changed == path or prove(RING, changed, NOW) is None


@pytest.mark.parametrize("path", ["", PATH, PATH + ".", PATH + "1.1.1.", PATH + "1...x", "/x"])
def test_garbage_is_no_question(path: str) -> None:
    assert prove(RING, path, NOW) is None
