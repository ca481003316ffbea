"""The time line of an email: who did what, together, and what can be read on its links."""

import pytest

from clicktrail.console.clicks.timeline import moments_of
from clicktrail.model import Click, Verdict
from clicktrail.store.mail.browse import ClickRow
from clicktrail.store.mail.html import LONGEST_TEXT, link_texts
from clicktrail.store.mail.trail import Told

H, M = Verdict.HUMAN, Verdict.MACHINE


def row(at: int, link: int, ip: str, verdict: Verdict = H, reasons: str = "") -> ClickRow:
    click = Click(f"e{at}", "m", link, f"https://a.example/{link}", at, ip, "Firefox")
    return ClickRow(click, verdict, tuple(reasons.split()), "news")


def test_clicks_are_together_by_visitor_and_link() -> None:
    rows = [
        row(4, 0, "a", M, "burst head"),
        row(1, 0, "a", M, "burst"),
        row(2, 1, "a"),
        row(3, 0, "b"),
        row(5, 0, "a"),
    ]
    told = {f"e{n}": [Told(f"e{n}", "stream s", "in the stream", n)] for n in range(1, 6)}
    told["e4"].append(Told("e4-2", "news / hook", "dead", 9, 3, "no answer"))
    first, second, third = moments_of(rows, [], told, {0: "Read on"})
    assert (first.text, first.at, first.last_at, first.times) == (
        "Click on link 1 “Read on”", 1, 5, 3,
    )  # fmt: skip
    assert first.judged == [(M, 2), (H, 1)]
    assert first.reasons == ["burst", "head"]
    assert len(first.told) == 4
    assert [each.event_id for each in first.late] == ["e4-2"]
    assert (second.text, second.visitor, second.late) == ("Click on link 2", ("a", "Firefox"), [])
    assert (third.at, third.visitor, third.times) == (3, ("b", "Firefox"), 1)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="#clicktrail-0">Read <b>more</b>&nbsp;&amp; on</a> after', "Read more & on"),
        ("<a class=x href='#clicktrail-0' title=t>\n Купить\n сейчас </A>", "Купить сейчас"),
        ('<a href="#clicktrail-0"><img src=x alt="A shop"></a>', "A shop"),
        ('<a title="Home" href="#clicktrail-0"><img src=x></a><p>no', "Home"),
        ('<map><area alt="North" href="#clicktrail-0"></map><p>no</p>', "North"),
        ('<a href="#clicktrail-0">x<!--[if mso]> <b> <![endif]--><style>b>i{}</style>y</a>', "x y"),
        ('<a href="#clicktrail-0"></a><a href="#clicktrail-10">ten</a>', ""),
        ('<!--[if mso]><v:roundrect href="#clicktrail-0">z</v:roundrect>', ""),
        ('<a href="#clicktrail-0"> </a><a href="#clicktrail-0">second</a>', "second"),
        (f'<a href="#clicktrail-0">{"long " * 99}</a>', f"{'long ' * 15}long…"),
        ('<a href="#clicktrail-0"', ""),
        ("#clicktrail-0>", ""),
    ],
)
def test_texts_of_links_are_read_from_kept_html(html: str, text: str) -> None:
    assert len(text) <= LONGEST_TEXT
    assert link_texts((html,)).get(0, "") == text
