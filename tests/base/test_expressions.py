"""Expressions that people write: compiled in a process of its own, within a time."""

import asyncio
import threading
import time

import pytest

from clicktrail.base.automaton import search_of, trial
from clicktrail.errors import InvalidInput
from clicktrail.model import ConfigurationSet
from clicktrail.store import Store

PATIENCE = 120


@pytest.mark.parametrize("expression", ["a", r"(?i)abmelden|/präferenz", r"\w{20}", r"(\w+x){20}"])
def test_what_people_write_is_compiled_in_time(expression: str) -> None:
    trial.check(expression)
    started = time.process_time()
    search_of(expression)
    assert time.process_time() - started < trial.CPU_SECONDS


def test_letters_are_folded_in_every_script_and_classes_are_of_ascii() -> None:
    assert search_of("(?i)präferenz")("https://a.example/PRÄFERENZ")
    assert search_of(r"^.{9}$")("präferenz")
    assert not search_of(r"^\w+$")("präferenz")


@pytest.mark.parametrize(
    ("expression", "why"),
    [("(a", "parenthesis"), ("a*", "empty"), ("\ud800", "not a")],
)
def test_what_cannot_be_searched_for_is_refused_with_the_reason(expression: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        trial.check(expression)


def test_the_time_is_that_of_the_processor() -> None:
    # Many ticks of the kernel's clock, by which processor time is counted.
    words = "|".join(f"word{number:03}.+end" for number in range(70))
    trial.check(words)
    with pytest.raises(InvalidInput, match="too long to compile"):
        trial.check(words, 0.000_001)


async def test_nobody_waits_while_an_expression_is_compiled(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = threading.Event()

    def slowly(expression: str) -> None:
        assert others.wait(PATIENCE)
        check(expression)

    check = trial.check
    monkeypatch.setattr(trial, "check", slowly)
    store = await Store.open(store_url)
    try:
        await store.configuration.create_set(ConfigurationSet("news"))
        changing = asyncio.create_task(
            store.configuration.update_set("news", rules={"no_track_text": "(a"})
        )
        await asyncio.sleep(0)
        await store.configuration.create_set(ConfigurationSet("other"))
        others.set()
        with pytest.raises(InvalidInput, match="parenthesis"):
            await changing
        assert not (await store.configuration.get_set("news")).rules.no_track_text
    finally:
        others.set()
        await store.close()
