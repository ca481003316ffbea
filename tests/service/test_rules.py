"""Rules of a configuration set, seen from outside: which links are tracked, and as what."""

import string
from random import Random

import pytest

from clicktrail.keys.token import PATH
from support.command_line import invoke
from support.service import Service, email_with, hrefs, html_of


def sent(service: Service, name: str, *urls: str, **headers: str) -> list[str]:
    """Send an email with these links; return where its links lead: the URL where it is tracked."""
    message = email_with("".join(f'<a href="{url}">here</a>' for url in urls), name)
    for header, value in headers.items():
        message[header.replace("_", "-")] = value
    found = hrefs(html_of(service.send(message)))
    assert len(found) == len(urls)
    return found


def targets(service: Service, links: list[str]) -> list[str | None]:
    return [service.request(link).location for link in links]


def tracked(links: list[str]) -> list[bool]:
    return [PATH in link for link in links]


def updated(service: Service, *options: str) -> str:
    name = service.configuration_set()
    service.cli("configuration-set", "update", name, *options)
    return name


def test_hosts_that_are_not_tracked(service: Service) -> None:
    name = updated(
        service, *("--no-track-host", "Bank.Example."), *("--no-track-host", "*.пример.example")
    )
    urls = (
        "https://bank.example/x",
        "HTTPS://BANK.example:8443/x",
        "https://sub.bank.example/",
        "https://a.b.xn--e1afmkfd.example/",
        "https://пример.example/",
        "https://user@bank.example/",
        "https://notbank.example/",
    )
    assert tracked(sent(service, name, *urls)) == [False, False, True, False, True, False, True]


def test_hosts_that_alone_are_tracked(service: Service) -> None:
    name = updated(
        service,
        *("--only-track-host", "shop.example", "--only-track-host", "*.shop.example"),
        *("--no-track-host", "pay.shop.example"),
    )
    urls = ("https://shop.example/", "https://a.shop.example/", "https://pay.shop.example/")
    links = sent(service, name, *urls, "https://other.example/", "https://[::1]/")
    assert tracked(links) == [True, True, False, False, False]
    service.cli("configuration-set", "update", name, "--only-track-host", "")
    assert tracked(sent(service, name, "https://other.example/")) == [True]


def test_links_to_unsubscribe(service: Service) -> None:
    name = updated(service, "--no-track-unsubscribe")
    field = "<mailto:u@a.example>,\r\n <https://a.example/u\r\n ?id=1&b=%20>, <https://b.example>"
    urls = (
        "https://a.example/u?id=1&amp;b=%20",
        "HTTPS://A.example/u?id=1&b=%20#top",
        "https://b.example/",
        "https://a.example/u?id=2&amp;b=%20",
    )
    message = email_with("".join(f'<a href="{url}">x</a>' for url in urls), name)
    raw = message.as_bytes().replace(b"\n", b"\r\n")
    raw = f"List-Unsubscribe: {field}\r\n".encode() + raw
    links = hrefs(html_of(service.send(raw)))
    assert tracked(links) == [False, False, False, True]
    service.cli("configuration-set", "update", name, "--track-unsubscribe")
    assert tracked(hrefs(html_of(service.send(raw)))) == [True] * 4


def test_urls_that_match_a_text(service: Service) -> None:
    name = updated(service, "--no-track-text", "(?i)abmelden|/präferenz")
    urls = (
        "https://a.example/ABMELDEN",
        "https://a.example/präferenzen",
        "https://a.example/x",
    )
    assert tracked(sent(service, name, *urls)) == [False, False, True]


@pytest.mark.parametrize(
    ("url", "leads_to"),
    [
        ("https://a.example/x", "https://a.example/x?utm_source=news&utm_campaign=a%20%26%C3%A9"),
        ("https://a.example", "https://a.example?utm_source=news&utm_campaign=a%20%26%C3%A9"),
        (
            "https://a.example/x?a=1#part?b",
            "https://a.example/x?a=1&utm_source=news&utm_campaign=a%20%26%C3%A9#part?b",
        ),
        (
            "https://a.example/?utm_source=mine&amp;x",
            "https://a.example/?utm_source=mine&x&utm_campaign=a%20%26%C3%A9",
        ),
        (
            "https://a.example/?a=1;utm%5Fsource=mine",
            "https://a.example/?a=1;utm%5Fsource=mine&utm_campaign=a%20%26%C3%A9",
        ),
        (
            "https://a.example/?utm_campaign&amp;utm_source=",
            "https://a.example/?utm_campaign&utm_source=",
        ),
        ("a.example/?", "http://a.example/?utm_source=news&utm_campaign=a%20%26%C3%A9"),
    ],
)
def test_parameters_that_urls_get(service: Service, url: str, leads_to: str) -> None:
    name = updated(service, "--append", "?utm_source=news&utm_campaign=a %26é&x={tag:none}")
    [link] = sent(service, name, url)
    assert service.request(link).location == leads_to
    [event] = service.wait_for_events(name, 1)
    assert event["click"]["link"] == leads_to


def test_a_parameter_holds_a_tag_of_the_email(service: Service) -> None:
    name = updated(service, "--append", "utm_campaign={tag:campaign}-{tag:week}&y={tag:none}")
    links = sent(service, name, "https://a.example/", X_SES_MESSAGE_TAGS="campaign=spring, week=47")
    assert targets(service, links) == ["https://a.example/?utm_campaign=spring-47"]


def test_a_copy_to_an_archive_is_no_recipient(service: Service) -> None:
    name = updated(
        service,
        *("--archive-recipients", "Archive@a.example", "--archive-recipients", "@vault.example"),
    )
    html = '<a href="https://a.example/">x</a>'

    def is_tracked(*recipients: str) -> bool:
        message = email_with(html, name)
        return PATH in html_of(service.send(message, recipients=recipients))

    assert is_tracked("archive@a.example", "reader@gmail.com", "x@vault.example")
    assert not is_tracked("reader@gmail.com", "other@gmail.com", "x@vault.example")
    assert not is_tracked("archive@a.example", "x@vault.example")
    assert not is_tracked("reader@gmail.com", "x@sub.vault.example")
    assert is_tracked("archive@a.example")


def test_a_tracking_link_over_the_limit_stays_the_original(service: Service) -> None:
    name = service.configuration_set()
    noise = "".join(Random(1).choices(string.ascii_letters + string.digits, k=2200))
    short, long = (f"https://a.example/{noise[:size]}" for size in (1000, 2200))
    assert tracked(sent(service, name, short, long)) == [True, False]
    service.cli("configuration-set", "update", name, "--link-limit", "0")
    assert tracked(sent(service, name, short, long)) == [True, True]
    service.cli("configuration-set", "update", name, "--link-limit", "200")
    assert tracked(sent(service, name, short, "https://a.example/")) == [False, True]


def test_parameters_of_the_tracking_link_are_handed_on(service: Service) -> None:
    name = service.configuration_set()
    [link] = sent(service, name, "https://a.example/?a=1#part")
    query = "?fbclid=x%20y&a=2&%61=3&b&=&c=%0D%0AX:1"
    assert service.request(link + query).location == "https://a.example/?a=1#part"
    service.cli("configuration-set", "update", name, "--pass-parameters")
    [link] = sent(service, name, "https://a.example/?a=1#part")
    answer = service.request(link + query)
    assert answer.location == "https://a.example/?a=1&fbclid=x%20y&b&=&c=%0D%0AX:1#part"
    assert service.request(link).location == "https://a.example/?a=1#part"
    events = service.wait_for_events(name, 3)
    assert {event["click"]["link"] for event in events} == {"https://a.example/?a=1#part"}
    assert '"link": 0' in service.cli("link", "open", link, "--json")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--no-track-host", "https://a.example/"), "is not a host"),
        (("--only-track-host", "*"), "is not a host"),
        (("--no-track-text", "(a"), "Missing close parenthesis"),
        (("--no-track-text", r"(a)\1"), "not a regular expression"),
        (("--no-track-text", "a*"), "empty"),
        (("--append", "utm={campaign}"), "{tag:NAME}"),
        (("--append", "=x"), "expected name=value"),
        (("--archive-recipients", "archive"), "is not an archive"),
        (("--link-limit", "20"), "leaves no tracking link"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(
    service: Service, options: tuple[str, ...], why: str
) -> None:
    name = service.configuration_set()
    before = service.cli("configuration-set", "show", name, "--json")
    words = ("configuration-set", "update", name, *options, "--data", str(service.data))
    refused = invoke(words)
    assert refused.exit_code != 0
    assert why in refused.output.replace("\n", " ")
    assert service.cli("configuration-set", "show", name, "--json") == before


def test_rules_are_shown(service: Service) -> None:
    name = updated(service, "--append", "a=b", "--no-track-host", "b.example", "--pass-parameters")
    shown = service.cli("configuration-set", "show", name)
    for text in ("a=b", "all but b.example", "handed on", "2000"):
        assert text in shown
