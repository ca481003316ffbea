from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.headers.parameters import parse_type, without_comments


@pytest.mark.parametrize(
    ("value", "kind", "parameters"),
    [
        ("text/html", "text/html", {}),
        ("Text/HTML; Charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        ('text/html;charset="utf-8";', "text/html", {"charset": "utf-8"}),
        ("text/html charset=utf-8", "text/html", {}),
        ("text/html charset=utf-8; a=b", "text/html", {"a": "b"}),
        ("(x) text/html (y); (z) charset=(a)utf-8", "text/html", {"charset": "utf-8"}),
        ('text/(")html; a="(b)"', "text/html", {"a": "(b)"}),
        ("text/html (never; charset=utf-8", "text/html", {}),
        ("html", "text/plain", {}),
        ("", "text/plain", {}),
        ("a/b/c; d=e", "text/plain", {"d": "e"}),
        ("a/b; c=d; c=e", "a/b", {"c": "d"}),
        ("a/b;; ; c=d", "a/b", {"c": "d"}),
        ("a/b; c", "a/b", {"c": ""}),
        ("a/b; =d; e=f", "a/b", {"e": "f"}),
        ("a/b; c = d e ; f=g", "a/b", {"c": "d e", "f": "g"}),
        ('a/b; c="d\\"e;f"; g=h', "a/b", {"c": 'd"e;f', "g": "h"}),
        ('a/b; c="d" x; g=h', "a/b", {"c": "d", "g": "h"}),
        ('a/b; c="d; e=f', "a/b", {"c": "d; e=f"}),
        ("a/b; c*=utf-8'en'%C3%A9", "a/b", {"c": "é"}),
        ("a/b; c*0=x; c*1=y", "a/b", {"c": "xy"}),
        ("a/b; c*1=y; c*0*=utf-8''%C3; c*2*=%A9", "a/b", {"c": "\ufffdy\ufffd"}),
        ("a/b; c*0*=utf-8''%C3; c*1*=%A9", "a/b", {"c": "é"}),
        ("a/b; c*0=x; c*2=z", "a/b", {"c": "x"}),
        ("a/b; c*1=x", "a/b", {}),
        ("a/b; c*=x", "a/b", {"c": "x"}),
        ("a/b; c*=no'x'%41", "a/b", {"c": "A"}),
    ],
)
def test_a_content_type(value: str, kind: str, parameters: dict[str, str]) -> None:
    assert parse_type(value) == (kind, parameters)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a (b) c", "a  c"),
        ("(a (b) \\) c) d", " d"),
        ('"(a)" (") b', '"(a)"  b'),
        ("a \\( b", "a \\( b"),
        ("a) b", "a) b"),
        ("a (b", "a "),
        ('a "b (c', 'a "b (c'),
        ("(" * 50_000 + ")" * 50_000 + "a", "a"),
    ],
)
def test_comments_are_taken_out(value: str, expected: str) -> None:
    assert without_comments(value) == expected


@given(
    st.lists(
        st.tuples(
            st.text("abcXYZ-0", min_size=1, max_size=5),
            st.one_of(st.text("ab1-_.", min_size=1, max_size=5), st.text('a "\\;=', max_size=6)),
        ),
        max_size=4,
        unique_by=lambda pair: pair[0].lower(),
    )
)
def test_parameters_are_what_the_standard_library_writes(pairs: list[tuple[str, str]]) -> None:
    message = Message()
    message.add_header("Content-Type", "text/html", **dict(pairs))
    expected = {name.lower(): text for name, text in pairs if text}
    kind, found = parse_type(str(message["Content-Type"]))
    assert kind == "text/html"
    assert {name: text for name, text in found.items() if text} == expected
