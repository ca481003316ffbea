"""What a policy's rules do to links, in whatever form they are written."""

import pytest

from clicktrail.base.weburl import serialized
from clicktrail.model import Rules
from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from clicktrail.rules.append import appended, checked_append
from clicktrail.rules.links import extending, staying

URL = "https://a.example/x?a=1&amp;b=2#part"
FORMS = [
    f'<a href="{URL}">x</a>',
    f"<a href='{URL}' title=x>x</a>",
    f'<a href={URL} postbox:tags="k:v">x</a>',
    f'<map><area href="{URL}"></map>',
    f'<a title="a" title="b" ses:tags="k:v" href="{URL}">x</a>',
    f'<svg><a xlink:href="{URL}">x</a></svg>',
    f'<!--[if mso]><v:rect href="{URL}"></v:rect><![endif]-->',
    f'<plaintext-not><math></math><a\nhref = "{URL}"\n>x</a>',  # for the exact scanner
    '<base href="https://a.example/y"><a href="x?a=1&amp;b=2#part">x</a>',
    f'<a href="{URL}">https://a.example/x</a>',
]


def rewritten(html: str, rules: Rules, size: int = 0, *, report: bool = True) -> Rewritten:
    extension = extending(rules, {"campaign": ["Früh&ling", "x"]})
    policy = Policy(
        link=lambda index, url: f"https://t.example/c/{index}{'x' * size}",
        is_own=lambda url: False,
        stays=staying(rules, ["<https://a.example/x?a=1&b=2>"]),
        extended=extension.of if extension else None,
        link_limit=rules.link_limit,
    )
    head = "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    return rewrite_message(head.encode() + html.encode(), policy, report=report)


@pytest.mark.parametrize("html", FORMS)
@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (Rules(no_track_hosts=("a.example",)), "host"),
        (Rules(no_track_hosts=("*.example",)), "host"),
        (Rules(only_track_hosts=("b.example",)), "host"),
        (Rules(track_unsubscribe=False), "unsubscribe"),
        (Rules(no_track_text=r"\?a=\d"), "text"),
    ],
)
def test_a_link_that_a_rule_is_about_stays_in_every_form(html: str, rules: Rules, why: str) -> None:
    result = rewritten(html, rules)
    assert result.links == ()
    assert [row.why for row in result.report] == [why]


@pytest.mark.parametrize("html", FORMS)
def test_a_link_that_no_rule_is_about_is_tracked_in_every_form(html: str) -> None:
    rules = Rules(
        (), ("b.example", "*.example"), no_track_text="nothing", append="a=x&c={tag:campaign}"
    )
    result = rewritten(html, rules)
    assert [link.url for link in result.links] == [
        "https://a.example/x?a=1&b=2&c=Fr%C3%BCh%26ling#part"
    ]


@pytest.mark.parametrize("html", FORMS)
def test_a_link_over_the_limit_stays_in_every_form_and_is_told_once(html: str) -> None:
    result = rewritten(html * 3, Rules(link_limit=200), 180)
    assert result.links == ()
    [warning] = result.warnings
    assert warning.startswith("link-limit: ")
    assert "(and 2 more)" in warning
    assert len(rewritten(html * 3, Rules(link_limit=210), 180).links) == 3


def test_what_cannot_stand_in_a_query_is_encoded_and_what_is_encoded_stays() -> None:
    rule = checked_append(" ?a=%26 %&b=ü\"'<#>[]&c=x=y?&&d")
    assert [text for _, text in appended(rule, {})] == [
        "a=%26%20%25",
        "b=%C3%BC%22%27%3C%23%3E%5B%5D",
        "c=x=y?",
        "d",
    ]


def other(attributes: str = "", url: str = "https://b.example/") -> str:
    return f'<a href="{url}"{attributes}>x</a>'


@pytest.mark.parametrize(
    "html",
    [
        *FORMS,
        f'<a postbox:tags="k:v,bad" href="{URL}">x</a>',
        f'<a href="{URL}" ses:tags="k:v">https://a.example/x</a>',
        '<a href="https://a.example/x?a=1 2">x</a>',  # what is doubtful of it does not matter
    ],
)
def test_links_beside_those_that_stay_are_tracked_as_without_a_report(html: str) -> None:
    rules = Rules(no_track_hosts=("a.example",), append="c=d")
    both = "".join((other(), html, other(' postbox:tags="k:v"')))
    slowly = rewritten(both, rules)
    quickly = rewritten(both, rules, report=False)
    assert [link.url for link in slowly.links] == ["https://b.example/?c=d"] * 2
    assert (quickly.message, quickly.links) == (slowly.message, slowly.links)
    assert quickly.warnings == slowly.warnings


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example",
        "https://a.example/",
        "https://a.example?x=/",
        "https://a.example#/",
        "https://a.example:8443/x",
        "https://A.EXAMPLE/x",
        "http://me:pw@a.example/x",
        "http://b.example@a.example/x",
        "http:a.example/b.example/",
        "http:/a.example/b.example/",
        "http:////a.example/b.example/",
        "https://///a.example/b.example/",
        "https:\\\\a.example\\b.example/",
        "https://a.example\\@b.example/",
        "https://%61.example/",
        "https://ａ.example/",
        "https://a.example./",
        "https://" + "u" * 600 + "@a.example/",
    ],
)
def test_a_rule_is_about_the_host_that_a_browser_asks(url: str) -> None:
    no, only = Rules(no_track_hosts=("a.example",)), Rules(only_track_hosts=("a.example",))
    for _ in range(2):
        stays, tracked = staying(no, ()), staying(only, ())
        assert stays is not None
        assert tracked is not None
        assert (stays(url), tracked(url)) == ("host", "")
        beside = url.replace("a.example", "c.example").replace("%61", "c").replace("ａ", "c")
        beside = beside.replace("A.EXAMPLE", "c.example")
        assert (stays(beside), tracked(beside)) == ("", "host")


LEAVE = [
    "https://a.example/leave?u=abcd",
    "https://a.example/leave/abcd",
    "https://a.example/",
    "http://abcd/",
    "https://a.example/b/",
    "https://a.example/x%2eab",
    "https://a.example/?u=%20abcd",
]


@pytest.mark.parametrize(
    "url",
    [
        *LEAVE,
        "HTTPS://A.EXAMPLE:443/leave?u=abcd#part",
        "https:\\\\a.example\\leave\\abcd",
        "https://a.example/x/../leave/abcd",
        "https://a.example/leave/abcd/x/%2e%2E/%2E",
        "https://a.example/leave/abcd/",
        "https://a.example?u= abcd",
        "https://a.example",
        "https:a.example",
        "https:/a.example/b/c/..",
        "http:\\\\\\\\/abcd",
        "http://///abcd",
        "http:abcd",
        "https://a.example/x%2Eab",
        "https://a.example/leave?u=ａbcd",
        "https://a.example/leave?u=abce",
        "https://a.example/leave?u=abcd&x",
        "https://b.example/leave?u=abcd",
    ],
)
def test_a_link_is_that_of_list_unsubscribe_where_a_browser_goes_to_the_same(url: str) -> None:
    page = (serialized(url) or "").partition("#")[0]
    for leave in LEAVE:
        for rules in (Rules(track_unsubscribe=False), Rules((), ("*.example", "abcd"), False)):
            stays = staying(rules, [f"<{leave}>"])
            assert stays is not None
            assert stays(url) == ("unsubscribe" if page == serialized(leave) else "")
