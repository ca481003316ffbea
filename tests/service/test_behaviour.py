"""What Clicktrail does, case by case, seen from outside: SMTP in, Maildir out, HTTP click."""

import random
import smtplib
import string
from email.message import EmailMessage

import pytest

from clicktrail.keys.token import PATH
from support.service import Service, email_with, hrefs, html_of, wait_for

HTML = '<a href="http://a.example/x" postbox:tags="k:v">x</a>'


def is_tracked(raw: bytes) -> bool:
    return all(PATH in href for href in hrefs(html_of(raw)))


def without_trace(raw: bytes) -> bytes:
    """Return an arrived email without the headers that a relay puts on top."""
    head, _, rest = raw.partition(b"From: ")
    assert b"\nSubject" not in head
    return (b"From: " + rest).replace(b"\r\n", b"\n")


# Which email is tracked


def test_the_header_names_the_configuration_set_in_any_case_and_is_removed(
    service: Service,
) -> None:
    name = service.configuration_set()
    message = email_with(HTML)
    message["x-Ses-configuration-SET"] = name
    arrived = service.send(message)
    assert is_tracked(arrived)
    assert b"configuration-set" not in arrived.lower()


def test_the_set_bound_to_the_identity_is_used_when_none_is_named(service: Service) -> None:
    name, other = service.configuration_set(), service.configuration_set(stream=False)
    service.cli("identity", "create", "bound.example")
    service.cli("identity", "bind", "bound.example", name)
    message = email_with(HTML)
    message.replace_header("From", "A <a@bound.example>")
    assert is_tracked(service.send(message))
    message["X-SES-CONFIGURATION-SET"] = other  # the named one wins, and tracks nothing
    assert not is_tracked(service.send(message))
    service.cli("identity", "bind", "bound.example", "--none")
    del message["X-SES-CONFIGURATION-SET"]
    assert not is_tracked(service.send(message))


def test_an_identity_of_one_address_wins_over_its_domain(service: Service) -> None:
    on, off = service.configuration_set(), service.configuration_set(stream=False)
    service.cli("identity", "create", "mixed.example", "--configuration-set", on)
    service.cli("identity", "create", "quiet@mixed.example", "--configuration-set", off)
    message = email_with(HTML)
    for address, tracked in (("a@mixed.example", True), ("quiet@Mixed.Example", False)):
        message.replace_header("From", address)
        assert is_tracked(service.send(message)) is tracked


def test_an_unknown_configuration_set_is_an_error_and_nothing_is_sent(service: Service) -> None:
    with pytest.raises(smtplib.SMTPDataError) as refused:
        service.send(email_with(HTML, "no-such-set"))
    assert refused.value.smtp_code == 554
    assert b"5.6.0" in refused.value.smtp_error
    assert b"no-such-set" in refused.value.smtp_error
    marker = service.send(email_with("<p>after</p>"))
    assert "after" in html_of(marker)


def signed(html: str) -> bytes:
    inner = email_with(html).as_bytes().partition(b"\n\n")[2]
    return (
        b"From: news@example.com\r\nTo: reader@gmail.com\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
        b"X-SES-CONFIGURATION-SET: %s\r\n"
        b'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary="b"\r\n'
        b"\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        b'<a href="http://a.example/x">x</a>\r\n--b\r\n'
        b"Content-Type: application/pgp-signature\r\n\r\nAAAA\r\n--b--\r\n" + inner[:0]
    )


def attached(kind: str) -> EmailMessage:
    message = email_with(None)
    if kind == "html":
        message.add_attachment("<a href='http://a.example/'>x</a>", "html", filename="a.html")
    else:
        message.add_attachment(email_with(HTML))
    return message


@pytest.mark.parametrize("kind", ["html", "message"])
def test_attached_html_and_attached_emails_stay_as_they_are(service: Service, kind: str) -> None:
    name = service.configuration_set()
    message = attached(kind)
    message["X-SES-CONFIGURATION-SET"] = name
    arrived = service.send(message)
    assert PATH.encode() not in arrived
    assert b"http://a.example/" in arrived


def test_a_signed_email_stays_byte_for_byte(service: Service) -> None:
    name = service.configuration_set()
    raw = signed(HTML)
    arrived = service.send(raw % name.encode())
    control = b"X-SES-CONFIGURATION-SET: %s\r\n"
    assert without_trace(arrived) == raw.replace(control, b"").replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Type: multipart/alternative\r\n\r\n--x\r\n\r\nno boundary named\r\n",
        b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"!!! this is no base64 !!!\r\n",
        b"Content-Type: text/html\r\nContent-Transfer-Encoding: x-unheard\r\n\r\n<a href=x>\r\n",
        b"this line is no header\r\nContent-Type: text/html\r\n\r\n<p>x\r\n",
        b"Content-Type: text/html\r\n\r\n<p>no links, \xff\xfe and a very long line"
        + b"." * 900
        + b"\r\n",
        b"Content-Type: text/plain\r\n\r\n..dots\r\n.\x2e\r\ntrailing \t \r\n\r\n\r\n",
    ],
)
def test_what_cannot_be_parsed_or_has_no_links_is_relayed_untouched(
    service: Service, body: bytes
) -> None:
    name = service.configuration_set()
    head = b"From: news@example.com\r\nTo: reader@gmail.com\r\nSubject: s\r\n"
    control = b"X-SES-CONFIGURATION-SET: " + name.encode() + b"\r\n"
    arrived = service.send(head + control + body)
    assert without_trace(arrived) == (head + body).replace(b"\r\n", b"\n")


def test_a_later_change_never_breaks_a_link_that_was_sent(service: Service) -> None:
    name = service.configuration_set()
    [link] = hrefs(html_of(service.send(email_with(HTML, name))))
    service.cli("configuration-set", "delete", name, "--yes")
    assert service.request(link).location == "http://a.example/x"


def test_notifications_follow_the_destinations_as_they_stand_at_the_click(
    service: Service,
) -> None:
    name = service.configuration_set()
    later = f"{name}-later"
    [link] = hrefs(html_of(service.send(email_with(HTML, name))))
    service.cli("event-destination", "update", name, "to-stream", "--stream", later)

    def moved() -> bool | None:
        service.request(link)
        return bool(service.events(later)) or None

    assert wait_for(moved, "event at the new destination")


# Which links are rewritten


def test_links_that_stay_unchanged(service: Service) -> None:
    name = service.configuration_set()
    unchanged = [
        "#fragment",
        "",
        "/path",
        "?query",
        "{{url}}",
        "*|URL|*",
        "%%url%%",
        "[url]",
        "data:text/plain,x",
        "page.html/../x?",
    ][:-1]
    links = "".join(f'<a href="{href}">x</a>' for href in unchanged)
    html = f'{links}<link href="http://l.example/"><a href="http://a.example/">y</a>'
    after = html_of(service.send(email_with(html, name)))
    assert hrefs(after)[:-1] == [*unchanged, "http://l.example/"]
    assert PATH in hrefs(after)[-1]


def test_relative_links_follow_a_base_of_http(service: Service) -> None:
    name = service.configuration_set()
    html = '<base href="https://b.example/dir/"><a href="../x?y#z">x</a>'
    base, link = hrefs(html_of(service.send(email_with(html, name))))
    assert base == "https://b.example/dir/"
    assert service.request(link).location == "https://b.example/x?y#z"


def test_our_own_tracking_link_is_not_tracked_again(service: Service) -> None:
    name = service.configuration_set()
    [link] = hrefs(html_of(service.send(email_with(HTML, name))))
    [same, _] = hrefs(html_of(service.send(email_with(f'<a href="{link}">x</a>{HTML}', name))))
    assert same == link


@pytest.mark.parametrize(
    ("attribute", "left"),
    [
        ("ses:no-track", ""),
        ("postbox:no-track", ""),
        ('clicktracking="off"', ' clicktracking="off"'),
        ("data-pm-no-track", " data-pm-no-track"),
        ('data-msys-clicktrack="0"', ' data-msys-clicktrack="0"'),
        ('disable-tracking="true"', ' disable-tracking="true"'),
        ("mc:disable-tracking", " mc:disable-tracking"),
        ('data-mautic-disable-tracking="true"', ' data-mautic-disable-tracking="true"'),
        ('class="x untracked"', ' class="x untracked"'),
    ],
)
def test_links_that_ask_not_to_be_tracked(service: Service, attribute: str, left: str) -> None:
    name = service.configuration_set()
    html = f'<a href="http://a.example/" {attribute}>x</a>{HTML}'
    after = html_of(service.send(email_with(html, name)))
    assert f'<a href="http://a.example/"{left}>x</a>' in after


# The tracking link


def test_the_configuration_sets_own_domain_and_https_policy(service: Service) -> None:
    name = service.configuration_set()
    service.cli("configuration-set", "update", name, "--redirect-domain", "click.news.example")
    service.cli("configuration-set", "update", name, "--https-policy", "REQUIRE")
    [link] = hrefs(html_of(service.send(email_with(HTML, name))))
    assert link.startswith(f"https://click.news.example{PATH}")
    assert service.request(link).location == "http://a.example/x"


def test_old_links_work_after_a_rotation_and_new_ones_use_the_new_key(service: Service) -> None:
    name = service.configuration_set()
    [old] = hrefs(html_of(service.send(email_with(HTML, name))))
    service.cli("keys", "rotate")
    [new] = hrefs(html_of(service.send(email_with(HTML, name))))
    for link in (new, old):
        assert service.request(link).location == "http://a.example/x"
    keys = [service.cli("link", "open", link, "--json") for link in (old, new)]
    assert keys[0] != keys[1]


# The redirect


@pytest.fixture(scope="module")
def link(service: Service) -> str:
    name = service.configuration_set(stream=False, engagement=True)
    [made] = hrefs(html_of(service.send(email_with(HTML, name))))
    return made


def test_the_redirect_is_a_302_that_nobody_stores_or_indexes(service: Service, link: str) -> None:
    answer = service.request(link)
    assert answer.status == 302
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-robots-tag"] == "noindex"
    assert b'href="http://a.example/x"' in answer.body


def test_head_prefetch_and_other_methods_are_no_clicks(service: Service) -> None:
    name = service.configuration_set()
    [made] = hrefs(html_of(service.send(email_with(HTML, name))))
    head = service.request(made, "HEAD")
    assert (head.status, head.location, head.body) == (302, "http://a.example/x", b"")
    for header in ("Sec-Purpose", "Purpose", "X-Moz"):
        answer = service.request(made, headers={header: "prefetch"})
        assert (answer.status, answer.headers["cache-control"]) == (503, "no-store")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = service.request(made, method)
        assert answer.status == 405
        assert "GET" in answer.headers["allow"]
    assert service.request(made).status == 302
    assert len(service.wait_for_events(name, 1)) == 1
    assert service.wait_for_clicks(name, 1)["clicks"] == 1


def test_headers_over_8_kib_are_refused(service: Service, link: str) -> None:
    assert service.request(link, headers={"X-Large": "x" * 9000}).status == 431
    assert service.request(link, headers={"X-Fair": "x" * 6000}).status == 302


def test_a_client_cannot_invent_its_address(service: Service) -> None:
    name = service.configuration_set()
    [made] = hrefs(html_of(service.send(email_with(HTML, name))))
    service.request(
        made, headers={"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    )
    [event] = service.wait_for_events(name, 1)
    assert event["click"]["ipAddress"] == "127.0.0.1"


def test_wrong_damaged_and_foreign_tokens_are_404_and_reflect_nothing(
    service: Service, link: str
) -> None:
    before = service.statistics()["clicks"]
    chance = random.Random(3)
    token = link.partition(PATH)[2]
    letters = string.ascii_letters + string.digits + "-_"
    for number in range(300):
        place = chance.randrange(len(token))
        forged = (
            token[:place],
            token[:place] + chance.choice(letters.replace(token[place], "")) + token[place + 1 :],
            "".join(chance.choices(letters, k=chance.randrange(1, 300))),
        )[number % 3]
        answer = service.request(f"http://h{PATH}{forged}")
        assert answer.status == 404, forged
        assert answer.location is None
        assert not forged or len(forged) < 12 or forged.encode() not in answer.body
    assert service.statistics()["clicks"] == before


# Statistics


def test_statistics_by_configuration_set_identity_and_provider(service: Service) -> None:
    name = service.configuration_set()
    service.cli("identity", "create", "counted.example", "--configuration-set", name)
    message = email_with(HTML)
    message.replace_header("From", "a@counted.example")
    [link] = hrefs(html_of(service.send(message, ["a@yandex.ru"])))
    service.send(message, ["b@gmail.com", "c@hotmail.com"])
    service.request(link)
    service.wait_for_clicks(name, 1)
    of_set = ("--configuration-set", name)
    assert service.statistics(*of_set)["sent"] == 3
    assert service.statistics("--identity", "counted.example")["sent"] == 3
    assert service.statistics(*of_set, "--provider", "yandex")["sent"] == 1
    assert service.statistics(*of_set, "--provider", "Yandex")["clicks"] == 1
    assert service.statistics(*of_set, "--provider", "Microsoft")["clicks"] == 0
    assert "Machine" in service.cli("statistics", *of_set)


def test_sends_are_notified_to_destinations_that_want_them(service: Service) -> None:
    name = service.configuration_set(types=("SEND", "CLICK"))
    [link] = hrefs(html_of(service.send(email_with(HTML, name))))
    service.wait_for_events(name, 1)
    service.request(link)
    events = service.wait_for_events(name, 2)
    assert [event["eventType"] for event in events] == ["Send", "Click"]
    assert events[0]["send"] == {}
    assert events[0]["mail"] == events[1]["mail"]


# Stopping and starting


def test_the_service_stops_when_told_and_starts_where_it_was(service: Service) -> None:
    name = service.configuration_set()
    [link] = hrefs(html_of(service.send(email_with(HTML, name))))
    assert service.request(link).status == 302
    assert service.stop() == 0
    service.start()
    assert service.request(link).status == 302
    assert len(service.wait_for_events(name, 2)) == 2
    assert service.wait_for_clicks(name, 2)["clicks"] == 2


def test_links_that_show_their_url_are_left_alone_where_the_set_says_so(service: Service) -> None:
    name = service.configuration_set()
    shown = '<a href="https://a.example/x">https://a.example/x</a>'
    message = email_with(f'{shown}<a href="https://a.example/x">here</a>')
    message["X-SES-CONFIGURATION-SET"] = name
    assert is_tracked(service.send(message))
    service.cli("configuration-set", "update", name, "--no-track-visible-urls")
    first, second = hrefs(html_of(service.send(message)))
    assert first == "https://a.example/x"
    assert PATH in second
    assert "left alone" in service.cli("configuration-set", "show", name)
    service.cli("configuration-set", "update", name, "--track-visible-urls")
    assert is_tracked(service.send(message))
