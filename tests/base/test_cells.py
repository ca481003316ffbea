"""Texts of others in CSV."""

import pytest

from clicktrail.base.text.cells import harmless

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("blank", ["", " ", "\u3000", " \t"])
def test_no_text_is_a_formula(sign: str, blank: str) -> None:
    assert harmless(f"{blank}{sign}1+1") == f"'{blank}{sign}1+1"


@pytest.mark.parametrize("blank", "\t\r\n")
def test_no_text_begins_with_a_tab_or_another_line(blank: str) -> None:
    assert harmless(f"{blank}Offers") == f"'{blank}Offers"


@pytest.mark.parametrize("text", ["", " ", "Offers", "1=1", "a\uff1d", "'=1", " Offers"])
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text
