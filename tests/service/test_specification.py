"""The user's specification, sentence by sentence (docs/specification.md has the table)."""

from email.message import EmailMessage

import pytest

from clicktrail.keys.token import PATH
from support.service import BROWSER, Service, email_with, hrefs, html_of


def tracking_link(service: Service, html: str, configuration_set: str) -> str:
    """Send an email with one link; return the tracking link that arrived."""
    [link] = hrefs(html_of(service.send(email_with(html, configuration_set))))
    return link


def is_tracked(service: Service, link: str) -> bool:
    hosts = (f"http://127.0.0.1:{service.http}{PATH}", f"https://127.0.0.1:{service.http}{PATH}")
    return link.startswith(hosts)


def test_as_soon_as_the_recipient_clicks_a_link_we_are_notified(service: Service) -> None:
    name = service.configuration_set()
    link = tracking_link(service, '<a href="http://shop.example/a?b=1&amp;c=2#d">x</a>', name)
    assert service.events(name) == []
    assert service.request(link).status == 302
    [event] = service.wait_for_events(name, 1)
    assert event["eventType"] == "Click"
    assert event["click"]["url"] == event["click"]["link"] == "http://shop.example/a?b=1&c=2#d"


def test_all_links_in_the_html_part_are_replaced_with_links_through_our_server(
    service: Service,
) -> None:
    name = service.configuration_set()
    html = (
        '<a href="http://a.example/">1</a><A HREF=\'https://b.example/?q="\'>2</A>'
        '<map><area href=http://c.example/x></map><!--[if mso]><v:rect href="http://d.example/">'
        '</v:rect><![endif]--><p>http://text.example/</p><img src="http://e.example/i.png">'
    )
    arrived = service.send(email_with(html, name))
    links = hrefs(html_of(arrived))
    assert len(links) == 4
    assert all(is_tracked(service, link) for link in links)
    assert 'src="http://e.example/i.png"' in html_of(arrived)
    assert b"See http://text.example/" in arrived  # the text part is as it was
    locations = [service.request(link).location for link in links]
    assert locations == [
        "http://a.example/",
        "https://b.example/?q=%22",
        "http://c.example/x",
        "http://d.example/",
    ]


def test_the_server_logs_the_click_notifies_and_redirects_to_the_original_url(
    service: Service,
) -> None:
    name = service.configuration_set()
    link = tracking_link(service, '<a href="https://shop.example/sale">x</a>', name)
    answer = service.request(link)
    assert (answer.status, answer.location) == (302, "https://shop.example/sale")
    assert service.wait_for_clicks(name, 1)["clicks"] == 1
    assert len(service.wait_for_events(name, 1)) == 1


def test_a_click_notification_has_the_documented_format(service: Service) -> None:
    name = service.configuration_set()
    message = email_with(
        '<a postbox:tags="product:book;genre:fiction" href="https://example.com/some-link">x</a>',
        name,
    )
    message["X-SES-MESSAGE-TAGS"] = "campaign=summer, audience=all"
    [link] = hrefs(html_of(service.send(message)))
    service.request(link)
    [event] = service.wait_for_events(name, 1)
    assert set(event) == {"eventType", "mail", "click", "eventId"}
    mail, click = event["mail"], event["click"]
    assert mail["source"] == "news@example.com"
    assert mail["destination"] == ["reader@gmail.com"]
    assert len(mail["messageId"]) == 21
    assert mail["commonHeaders"]["from"] == ["News <news@example.com>"]
    assert mail["commonHeaders"]["to"] == ["Reader <reader@gmail.com>"]
    assert mail["commonHeaders"]["subject"] == "Hello"
    assert mail["commonHeaders"]["messageId"] == mail["messageId"]
    assert mail["commonHeaders"]["originalMessageId"] == "<1@example.com>"
    assert {"name": "Subject", "value": "Hello"} in mail["headers"]
    assert mail["tags"]["ses:configuration-set"] == [name]
    assert mail["tags"]["ses:from-domain"] == ["example.com"]
    assert mail["tags"]["ses:source-ip"] == ["127.0.0.1"]
    assert mail["tags"]["campaign"] == ["summer"]
    assert mail["tags"]["audience"] == ["all"]
    assert mail["timestamp"] < click["timestamp"]
    assert click["ipAddress"] == "127.0.0.1"
    assert click["userAgent"] == BROWSER
    assert click["url"] == click["link"] == "https://example.com/some-link"
    assert click["linkTags"] == {"product": ["book"], "genre": ["fiction"]}
    assert set(click["bot"]) == {"verdict", "reasons"}


@pytest.mark.parametrize(
    ("original", "scheme"),
    [
        ("http://a.example/", "http"),
        ("https://a.example/", "https"),
        ("HTTPS://A.example/", "https"),
    ],
)
def test_the_tracking_link_protocol_is_that_of_the_original_link(
    service: Service, original: str, scheme: str
) -> None:
    name = service.configuration_set(stream=False, engagement=True)
    link = tracking_link(service, f'<a href="{original}">x</a>', name)
    assert link.startswith(f"{scheme}://")
    assert service.request(link).location == original


def test_a_click_tracking_destination_collects_the_metric_and_sends_notifications(
    service: Service,
) -> None:
    name = service.configuration_set()
    service.request(tracking_link(service, '<a href="http://a.example/">x</a>', name))
    assert service.wait_for_clicks(name, 1)["clicks"] == 1
    assert len(service.wait_for_events(name, 1)) == 1


def test_engagement_statistics_collect_the_metric_and_send_no_notifications(
    service: Service,
) -> None:
    name = service.configuration_set(types=("SEND",), engagement=True)
    service.request(tracking_link(service, '<a href="http://a.example/">x</a>', name))
    assert service.wait_for_clicks(name, 1)["clicks"] == 1
    assert [event["eventType"] for event in service.wait_for_events(name, 1)] == ["Send"]


def test_tracking_is_enabled_and_disabled_by_editing_the_configuration(service: Service) -> None:
    name = service.configuration_set(stream=False)
    html = '<a href="http://a.example/">x</a>'
    assert tracking_link(service, html, name) == "http://a.example/"
    service.cli("engagement-statistics", "enable", name)
    assert is_tracked(service, tracking_link(service, html, name))
    service.cli("engagement-statistics", "disable", name)
    assert tracking_link(service, html, name) == "http://a.example/"
    service.cli("event-destination", "add", name, "d", "--stream", name, "--type", "CLICK")
    assert is_tracked(service, tracking_link(service, html, name))
    service.cli("event-destination", "update", name, "d", "--disable")
    assert tracking_link(service, html, name) == "http://a.example/"


def test_tracking_works_for_emails_with_one_recipient_only(service: Service) -> None:
    name = service.configuration_set()
    message = email_with('<a href="http://a.example/" postbox:tags="k:v">x</a>', name)
    arrived = service.send(message, ["a@example.org", "b@example.org"])
    assert hrefs(html_of(arrived)) == ["http://a.example/"]
    assert "postbox:tags" in html_of(arrived)
    assert is_tracked(service, hrefs(html_of(service.send(message, ["a@example.org"])))[0])


def test_an_email_with_only_a_text_part_is_not_tracked(service: Service) -> None:
    name = service.configuration_set()
    arrived = service.send(email_with(None, name))
    assert arrived.endswith(b"\r\n\r\nSee http://text.example/\r\n") or arrived.endswith(
        b"\n\nSee http://text.example/\n"
    )


def test_each_click_of_a_link_is_notified(service: Service) -> None:
    name = service.configuration_set()
    link = tracking_link(service, '<a href="http://a.example/">x</a>', name)
    for _ in range(5):
        assert service.request(link).status == 302
    events = service.wait_for_events(name, 5)
    assert len(events) == len({event["eventId"] for event in events}) == 5
    found = service.wait_for_clicks(name, 5)
    assert (found["clicks"], found["uniqueClicks"]) == (5, 1)


@pytest.mark.parametrize(
    "href",
    [
        "mailto:a@b.example",
        "tel:+15550100",
        "ftp://ftp.example/x",
        "sms:+1555",
        "cid:part1",
        "javascript:void(0)",
        "whatsapp://send?text=x",
        "#top",
    ],
)
def test_links_with_other_protocols_are_not_tracked_and_remain_unchanged(
    service: Service, href: str
) -> None:
    name = service.configuration_set(stream=False, engagement=True)
    html = f'<a href="{href}">x</a> <a href="http://a.example/">y</a>'
    first, second = hrefs(html_of(service.send(email_with(html, name))))
    assert first == href
    assert is_tracked(service, second)


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("www.example.com", "http://www.example.com"),
        ("example.com:8080/x?y", "http://example.com:8080/x?y"),
        ("//example.com/p", "http://example.com/p"),
        ("localhost/a", "http://localhost/a"),
        ("192.0.2.1/a", "http://192.0.2.1/a"),
    ],
)
def test_the_default_protocol_http_is_prepended_to_links_without_one(
    service: Service, href: str, url: str
) -> None:
    name = service.configuration_set()
    link = tracking_link(service, f'<a href="{href}">x</a>', name)
    assert link.startswith("http://")
    assert service.request(link).status == 302
    [event] = service.wait_for_events(name, 1)
    assert event["click"]["url"] == url


def test_a_click_is_notified_even_when_the_original_link_cannot_be_reached(
    service: Service, port: int
) -> None:
    address = f"http://127.0.0.1:{port}/"
    name = service.configuration_set()
    link = tracking_link(service, f'<a href="{address}">x</a>', name)
    # The browser is sent there, and shows the error itself.
    assert service.request(link).location == address
    assert len(service.wait_for_events(name, 1)) == 1


def test_tags_of_a_link_reach_the_notification(service: Service) -> None:
    name = service.configuration_set()
    link = tracking_link(
        service,
        '<a postbox:tags="product:book;genre:fiction;subgenre:scifi;type:newrelease;"\n'
        '   href="http://www.example.com/…/">New science fiction releases</a>',
        name,
    )
    assert service.request(link).location == "http://www.example.com/%E2%80%A6/"
    [event] = service.wait_for_events(name, 1)
    assert event["click"]["url"] == "http://www.example.com/…/"
    assert event["click"]["linkTags"] == {
        "product": ["book"],
        "genre": ["fiction"],
        "subgenre": ["scifi"],
        "type": ["newrelease"],
    }


def test_tags_distinguish_clicks_of_the_same_link_in_different_parts_of_the_email(
    service: Service,
) -> None:
    name = service.configuration_set()
    html = (
        '<a href="http://a.example/" postbox:tags="place:top">x</a>'
        '<a href="http://a.example/" postbox:tags="place:bottom">x</a>'
    )
    top, bottom = hrefs(html_of(service.send(email_with(html, name))))
    assert top != bottom
    service.request(bottom)
    [event] = service.wait_for_events(name, 1)
    assert event["click"]["linkTags"] == {"place": ["bottom"]}


def test_tags_are_removed_from_the_email(service: Service) -> None:
    name = service.configuration_set(stream=False, engagement=True)
    html = (
        '<a postbox:tags="a:b" href="http://a.example/">x</a>'
        '<a href="mailto:a@b.example" ses:tags="c:d">y</a>'
    )
    after = html_of(service.send(email_with(html, name)))
    assert "tags" not in after
    assert '<a href="mailto:a@b.example">y</a>' in after


def test_an_email_without_a_configuration_set_is_not_tracked(service: Service) -> None:
    message: EmailMessage = email_with('<a href="http://a.example/">x</a>')
    assert hrefs(html_of(service.send(message))) == ["http://a.example/"]
