"""What is told of a fault, and what is not."""

import importlib
from itertools import pairwise

import pytest

from clicktrail.base import redact as module
from clicktrail.base.redact import (
    LONGEST,
    hide,
    reason_of,
    redact,
    told_chain,
    traceback_text,
    without_login,
)
from clicktrail.errors import StoreUnavailable
from clicktrail.settings.arguments import SECRET_FLAG, shown_arguments
from clicktrail.settings.table import SETTINGS

MARK = "Mark3dS3cret"


@pytest.fixture(autouse=True)
def _nothing_is_hidden_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_secrets", set())
    monkeypatch.setattr(module, "_pattern", None)


@pytest.mark.parametrize("name", sorted(module._TOLD))
def test_the_exceptions_whose_text_is_told_are_there_by_that_name(name: str) -> None:
    place, _, kind = name.rpartition(".")
    found = getattr(importlib.import_module(place), kind)
    assert f"{found.__module__}.{found.__qualname__}" == name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("450 <anna@example.com>: greylisted", "450 <(address)>: greylisted"),
        ("RCPT TO:<Anna.B+news@sub.example.com>", "RCPT TO:<(address)>"),
        ('to "anna b"@example.com here', "to (address) here"),
        ("for анна@пример.рф", "for (address)"),
        ("550 <bounces+anna=example.org@example.com>: no", "550 <(address)>: no"),
        ("550 o'anna@example.com: no", "550 (address): no"),
        ("501 ORCPT=rfc822;anna+40example.com: no", "501 ORCPT=rfc822;(address): no"),
        ("http://a.example/?to=anna%40example.com&x=1", "http://a.example/?to=(address)&x=1"),
        (f"nats://user:{MARK}@a.example:4222", "nats://(hidden)@a.example:4222"),
        (f"to smtp://u:{MARK}@pass@host:25 failed", "to smtp://(hidden)@host:25 failed"),
        ("no such table: clicks", "no such table: clicks"),
        ("a\r\nb\x1b[31m", "a\\x0d\nb\\x1b[31m"),
    ],
)
def test_a_text_is_told_without_logins_addresses_and_control_characters(
    text: str, told: str
) -> None:
    assert redact(text) == told


def test_a_secret_is_hidden_in_its_usual_encodings() -> None:
    hide("p@ss/word", user="shop")
    for text in ("p@ss/word", "p%40ss%2Fword", "cEBzcy93b3Jk", "AHNob3AAcEBzcy93b3Jk"):
        assert redact(f"said {text} to it") == "said (hidden) to it"


def test_a_long_text_is_cut_with_no_half_of_a_secret() -> None:
    hide(MARK)
    told = redact("x" * (4 * LONGEST - 5) + f" smtp://u:{MARK}@h " + "y" * LONGEST)
    assert len(told) <= LONGEST + 1
    half = MARK[:5]
    assert half not in redact("z" * (4 * LONGEST - 15) + f" {MARK}")
    assert redact("word " * 10_000 + MARK).startswith("word word")


@pytest.mark.parametrize(
    "piece", ["a", "@", "a@", "%40", "://", '"', "a@b ", "://a@", "\x00", "é", "&a%40b"]
)
def test_redacting_costs_no_more_for_a_longer_text(piece: str) -> None:
    # Whatever comes, no more than a part of it is looked at.
    sizes = [10_000, 20_000, 40_000]
    told = [redact(piece * size) for size in sizes]
    assert all(len(a) == len(b) <= LONGEST * 6 for a, b in pairwise(told))


def fail(secret: str, address: str) -> None:
    begin_of_email = f"From: {address}"  # noqa: F841 - what a traceback with variables would show
    try:
        int(secret)
    except ValueError as error:
        raise StoreUnavailable(f"the store is gone, said {address}") from error


def test_a_fault_is_told_by_its_frames_and_without_values() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        fail(MARK, "anna@example.com")
    text = traceback_text(caught.value)
    assert "anna" not in text
    assert MARK not in text + str(told_chain(caught.value))
    assert "StoreUnavailable: the store is gone, said (address)" in text
    assert "\nValueError\n" in text + "\n"
    assert ", in fail" in text
    last, first = told_chain(caught.value)
    assert (last["exc_type"], first["exc_type"]) == ("StoreUnavailable", "ValueError")
    assert first["exc_value"] == ""


def test_all_of_a_group_are_told() -> None:
    group = ExceptionGroup("two", [ValueError(MARK), OSError(28, "No space left on device")])
    told = told_chain(group)
    assert [each["exc_type"] for each in told] == ["ExceptionGroup", "ValueError", "OSError"]
    assert told[2]["exc_value"] == "[Errno 28] No space left on device"
    assert MARK not in str(told)


def test_an_exception_of_unknown_kind_is_told_by_its_name() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError(MARK)

    assert reason_of(Odd()) == "Odd"
    assert reason_of(KeyError(MARK)) == "KeyError"
    assert reason_of(TimeoutError()) == "TimeoutError"
    assert reason_of(ConnectionRefusedError(111, "Connection refused")).endswith("refused")


def test_a_url_is_shown_without_its_login() -> None:
    assert without_login(f"smtp://u:{MARK} x/y@z@host:25") == "smtp://(hidden)@host:25"
    assert without_login("smtp://host:25") == "smtp://host:25"
    assert without_login("maildir:/home/me@work") == "maildir:/home/me@work"


def test_the_flag_of_every_secret_setting_is_known_by_its_name() -> None:
    for setting in SETTINGS:
        if setting.secret:
            assert SECRET_FLAG.fullmatch(setting.flag), setting.flag


def test_arguments_are_shown_without_secrets() -> None:
    given = ["serve", "--smarthost", f"smtp://u:{MARK}@h:25", "--smarthost-password", MARK]
    given += [f"--api-token={MARK}", "--webhook", f"https://a.example/?t={MARK}", "--smtp-listen"]
    given += ["127.0.0.1:25", "anna@example.com", "--data", "x y"]
    shown = shown_arguments(given)
    assert MARK not in str(shown)
    assert shown[:3] == ["serve", "--smarthost", "smtp://(hidden)@h:25"]
    assert shown[-4:] == ["127.0.0.1:25", "(address)", "--data", "x y"]
