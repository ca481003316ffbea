"""The pages that people see, in their languages."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.errors import SettingError
from clicktrail.redirect.pages.language import language
from clicktrail.redirect.pages.public import STATUS, PublicPages
from clicktrail.redirect.pages.texts import TEXTS

KNOWN = frozenset(TEXTS)


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "en"),
        (b"", "en"),
        (b"de", "de"),
        (b"DE-at", "de"),
        (b"zh-Hant-TW, ru;q=0.8, en;q=0.7", "ru"),
        (b"en;q=0.3, fr;q=0.9, de;q=0.8", "fr"),
        (b"es;q=0.5,fr;q=0.5", "es"),  # of equals the first
        (b"de;q=0, *", "en"),
        (b"ru ; q=0.001", "ru"),
        (b"fr;q=2, de;q=x, es", "es"),
        (b"\xff\xfe, ,;q=1,de-", "en"),
        (b"x," * 5000 + b"de", "en"),  # nobody writes so much
    ],
)
def test_the_language_is_the_one_that_the_reader_likes_best(
    header: bytes | None, chosen: str
) -> None:
    assert language(header, KNOWN, "en") == chosen


@given(st.binary(max_size=2000))
def test_any_header_has_a_language(header: bytes) -> None:
    assert language(header, KNOWN, "en") in KNOWN


def test_every_language_says_everything() -> None:
    assert set(TEXTS) == {"en", "ru", "de", "fr", "es"}
    for texts in TEXTS.values():
        assert texts.keys() == TEXTS["en"].keys()
        assert all(texts.values())


def test_every_page_has_a_file_for_all_languages_and_for_one(tmp_path: Path) -> None:
    for name in STATUS:
        (tmp_path / f"{name}.html").write_text(f"{name} {{{{ language }}}} {{{{because}}}}")
        (tmp_path / f"{name}.pl.html").write_text("Strona {{home-url}} {{nothing}}.")
    (tmp_path / "not-found.de.txt").write_text("nobody's")
    pages = PublicPages(tmp_path, "https://home.example/?a=1&b=2")
    assert pages.blocked(b"de", "<b>")[1] == b"blocked de &lt;b&gt;"
    assert pages.not_found(b"it")[1] == b"not-found en "
    assert pages.not_found(b"pl, de")[1] == b"Strona https://home.example/?a=1&amp;b=2 ."
    (tmp_path / "not-found.html").unlink()
    (tmp_path / "not-found.pl.html").unlink()
    pages.reload()
    assert TEXTS["de"]["not-found"].encode() in pages.not_found(b"pl, de")[1]
    for wrong, why in ((b"\xff", "not UTF-8"), (b"x" * 70_000, "too large")):
        (tmp_path / "blocked.fr.html").write_bytes(wrong)
        with pytest.raises(SettingError, match=f"blocked.fr.html is {why}"):
            pages.reload()
    assert TEXTS["de"]["not-found"].encode() in pages.not_found(b"de")[1]


def test_pages_are_kept_by_language_and_not_by_what_strangers_send(tmp_path: Path) -> None:
    (tmp_path / "not-found.html").write_text("{{language}}" + "x" * 60_000)
    pages = PublicPages(tmp_path)
    kept = {id(pages.not_found(b"de, x%d" % number)) for number in range(100)}
    assert len(kept) == 1
