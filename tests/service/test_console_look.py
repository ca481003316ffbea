"""The console of the real service: search, click maps, time lines, mailings, hours, tests."""

import re
from datetime import date, timedelta
from typing import Any

import pytest

from clicktrail.console.clickmap import COLOURS
from support.hook import Hook
from support.service import Service, email_with, hrefs, html_of, wait_for
from support.visitor import Visitor, account

EVIL = '"><script>alert(1)</script>'
LETTER = """<!DOCTYPE html><html><head><style>p { color: green }</style></head><body>
<script>alert(2)</script><img src="http://pictures.example/pixel.png">
<p>Hello! <a href="http://a.example/first" postbox:tags="place:top">First</a>
<a href="http://a.example/second">Second</a> <a href="mailto:a@b.example">Write</a></p></body>"""


def sent(service: Service, set_name: str, subject: str, html: str = LETTER, **more: Any) -> str:
    """Send an email with headers; return its HTML as it arrived."""
    message = email_with(html, set_name)
    message.replace_header("Subject", subject)
    for name, value in more.items():
        message[name.replace("_", "-")] = value
    return html_of(service.send(message))


def found(admin: Visitor, query: str) -> str:
    """Return the path of the one email that a search finds, as soon as it does."""

    def look() -> str | None:
        text = admin.client.get("/messages", params={"q": query}).text
        paths = re.findall(r'href="(/messages/[\w-]{21})"', text)
        assert len(paths) <= 1
        return paths[0] if paths else None

    return wait_for(look, f"an email that is found by {query!r}")


@pytest.fixture(scope="module")
def mapped(service: Service, admin: Visitor) -> tuple[str, str]:
    """An email whose HTML is kept, with three clicks: its configuration set, its page."""
    name = service.configuration_set()
    service.cli("configuration-set", "update", name, "--keep-html")
    links = hrefs(sent(service, name, f"Mapped {name}", X_SES_MESSAGE_TAGS=f"run={name}"))
    for link in (links[0], links[0], links[1]):
        service.request(link)
    service.wait_for_clicks(name, 3)
    return name, found(admin, f"mapped {name}")


def test_an_email_is_found_by_recipient_subject_tag_and_id(
    service: Service, admin: Visitor, mapped: tuple[str, str]
) -> None:
    name, page = mapped
    id_ = page.rpartition("/")[2]
    for query in (f"run={name}", f"MAPPED run={name}", id_, f"reader@gmail.com run={name}"):
        assert found(admin, query) == page, query
    for query in ("run=none", "nobody@example.org", "zzz", "x" * 21, "' OR 1=1 --", "%"):
        text = admin.client.get("/messages", params={"q": query}).text
        assert "No email is found by that." in text, query


def test_a_search_is_text_on_the_page(admin: Visitor) -> None:
    text = admin.client.get("/messages", params={"q": EVIL}).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text


def test_the_map_shows_the_email_with_its_clicks(admin: Visitor, mapped: tuple[str, str]) -> None:
    page = admin.get(mapped[1]).text
    assert f'src="{mapped[1]}/map?"' in page
    assert re.search(r'<iframe[^>]* sandbox="allow-same-origin" ', page)
    frame = admin.get(f"{mapped[1]}/map?who=all")
    text = frame.text
    assert text.startswith("<!DOCTYPE html><style>")
    assert 'href="#clicktrail-0"' in text
    assert "mailto:a@b.example" in text
    assert f'[href="#clicktrail-0"]{{outline:2px solid {COLOURS[-1]}' in text
    assert f'[href="#clicktrail-1"]{{outline:2px solid {COLOURS[2]}' in text
    shares = re.findall(r'class="heat heat-(.)">([\d.]+)', admin.get(f"{mapped[1]}?who=all").text)
    assert shares == [("5", "66.7"), ("2", "33.3")]
    assert "/c/" not in text, "a tracking link would count whoever follows it"


def test_the_frame_runs_nothing_and_loads_nothing(admin: Visitor, mapped: tuple[str, str]) -> None:
    def policy(query: str) -> str:
        return admin.get(f"{mapped[1]}/map{query}").headers["content-security-policy"]

    plain = policy("")
    assert plain.startswith("sandbox allow-same-origin; default-src 'none'"), "no scripts"
    assert "script-src" not in plain
    assert "img-src data:;" in plain
    assert plain.count("allow-") == 1
    assert "img-src data: http: https:;" in policy("?images=1")


def test_without_its_html_the_map_is_a_list(service: Service, admin: Visitor) -> None:
    name = service.configuration_set()
    (link, *_) = hrefs(sent(service, name, f"Listed {name}"))
    service.request(link)
    service.wait_for_clicks(name, 1)
    path = found(admin, f"listed {name}")
    text = admin.get(path).text
    assert "<iframe" not in text
    assert "the map is a list" in text
    row = re.search(r"<tr data-place.*http://a\.example/first.*?</tr>", text)
    assert row
    assert re.findall(r'<td class="n"[^>]*>(\d+)</td>', row[0])[:3] == ["1", "1", "1"]
    assert "is not kept" in admin.get(f"{path}/map").text


def test_the_time_line_says_who_clicked_and_who_was_told(
    admin: Visitor, mapped: tuple[str, str]
) -> None:
    name, page = mapped
    text = admin.get(page).text
    line = text[text.index('class="timeline"') :]
    assert "<b>Click on link 1 “First”</b> 2 times" in line
    assert "<b>Click on link 2 “Second”</b>," in line
    assert "2 notifications, all delivered" in line
    assert line.count(f"stream {name}: in the stream") == 3
    assert "sent on by the smarthost" in line


def test_the_time_line_knows_how_far_a_notification_came(tmp_path: Any) -> None:
    flags = ("--webhook-allow", "127.0.0.0/8")
    with Hook() as hook, Service(tmp_path, *flags) as own, Visitor(own) as admin:
        admin.welcome(account(own, "a", "administrator"))
        name = own.configuration_set(stream=False)
        for each, url in (("good", hook.url), ("bad", "http://127.0.0.1:1/nobody")):
            options = ("--webhook", url, "--type", "CLICK", "--type", "SEND")
            own.cli("event-destination", "add", name, each, *options)
        own.request(hrefs(sent(own, name, "Told"))[0])
        path = found(admin, "told")
        good, bad = (
            f"{name} / good: delivered",
            rf"{name} / bad: waiting.*?attempts?: [^)]*ConnectError",
        )
        said = re.compile(f"{good}.*?{bad}", re.DOTALL | re.IGNORECASE)
        wait_for(
            lambda: len(said.findall(admin.get(path).text)) == 2 or None,
            "both events arrived at one of the two destinations, and why not at the other",
        )


def test_emails_of_a_mailing_share_a_map(service: Service, admin: Visitor) -> None:
    name = service.configuration_set()
    service.cli("configuration-set", "update", name, "--keep-html")
    for number in range(3):
        links = hrefs(sent(service, name, f"Shared {name}"))
        for link in links[: number + 1]:
            service.request(link)
    service.wait_for_clicks(name, 5)

    def look() -> str | None:
        text = admin.get("/mailings").text
        row = re.search(
            rf'<tr><th[^>]*><input[^>]*> <a href="(/mailings/\w+)">Shared {name}.*?</tr>', text
        )
        numbers = re.findall(r'class="n"[^>]*>([^<]+)<', row[0]) if row else []
        return row[1] if row and [numbers[n] for n in (0, 3, 4)] == ["3", "5", "5"] else None

    path = wait_for(look, "a mailing of three emails and five clicks")
    page = admin.get(path).text
    figures = re.findall(r'<p class="value">([^<]+)</p>', page)
    assert [figures[0], *figures[2:4]] == ["3", "5", "5"]
    shares = re.findall(r'class="heat heat-(.)">([\d.]+)', admin.get(f"{path}?who=all").text)
    assert shares == [("5", "60.0"), ("3", "40.0")]
    assert '[href="#clicktrail-0"]{outline:2px' in admin.get(f"{path}/map?who=all").text
    for wrong in ("/mailings/zz", "/mailings/00", "/mailings/zz/map"):
        assert admin.get(wrong).status_code == 404


def test_what_is_in_an_email_stays_text_or_in_the_frame(service: Service, admin: Visitor) -> None:
    name = service.configuration_set()
    service.cli("configuration-set", "update", name, "--keep-html")
    html = (
        "</style></iframe>'\"<a href='http://a.example/?&quot;></style><script>alert(1)</script>'>"
        "x</a><plaintext>"
    )
    links = hrefs(sent(service, name, f"{EVIL} {name}", html, X_SES_MESSAGE_TAGS=f"{EVIL}={name}"))
    service.request(links[0], headers={"User-Agent": f"Mozilla/5.0 {EVIL}"})
    service.wait_for_clicks(name, 1)
    path = found(admin, f"script {name}")
    (mailing, *_) = re.findall(r"/mailings/[0-9a-f]{32}", admin.get(path).text)
    for page in (path, "/messages", "/mailings", "/mailings?kind=tag", mailing):
        text = admin.get(page).text
        assert "<script>alert" not in text, page
        assert "script&gt;alert(1)" in text, page
    frame = admin.get(f"{path}/map").text
    style = frame[frame.index("<style>") : frame.index("</style>")]
    assert "alert" not in style, "nothing of the email is in our style sheet"


def test_numbers_by_the_hour_and_by_link_tag(service: Service, admin: Visitor) -> None:
    name = service.configuration_set()
    links = hrefs(sent(service, name, "Hours"))
    for link in (links[0], links[0], links[1]):
        service.request(link)
    service.wait_for_clicks(name, 3)

    def values(query: str) -> list[str]:
        text = admin.get(f"/?configuration_set={name}&{query}").text
        tracked, _, clicks, _ = re.findall(r'<p class="value">([^<]*)</p>', text)
        unique = re.search(r'<p class="change">(\d+) unique', text)
        assert unique
        return [tracked, clicks, unique[1]]

    today = admin.get("/").text
    until = re.search(r'name="until" value="([\d-]+)"', today)
    assert until
    yesterday = date.fromisoformat(until[1]) - timedelta(days=1)  # it may be midnight
    day = f"since={yesterday}&until={until[1]}"
    assert values(day) == values(f"{day}&per=hour") == ["1", "3", "2"]
    assert values("tag=place%3Dtop") == ["1", "2", "1"]
    assert values("tag=place%3Dnowhere") == ["0", "0", "0"]
    csv = admin.get(f"/statistics.csv?configuration_set={name}&{day}&per=hour").text.splitlines()
    assert csv[0].startswith("hour,")
    assert 1 + 24 < len(csv) <= 1 + 2 * 24, "hours to come are none"
    assert sum(int(row.split(",")[5]) for row in csv[1:]) == 3


def test_a_test_event_is_sent_from_the_page(service: Service, admin: Visitor) -> None:
    name = service.configuration_set()
    page = f"/configurations/{name}/destinations/to-stream"
    assert "Send a test event" in admin.get(page).text
    assert "It has taken the test event" in admin.sent(f"{page}/test").text
    assert [event["eventType"] for event in service.wait_for_events(name, 1)] == ["Click"]
    service.cli(
        "event-destination", "add", name, "hook",
        "--webhook", "http://127.0.0.1:1/nobody", "--type", "CLICK",
    )  # fmt: skip
    others = f"/configurations/{name}/destinations"
    assert "did not take the test event" in admin.sent(f"{others}/hook/test").text
    assert admin.sent(f"{others}/none/test").status_code == 404


def rows_of(text: str) -> list[str]:
    return re.findall(r"<small>(http://a\.example/[^<]*)</small>", text)


@pytest.mark.parametrize(
    ("query", "links"),
    [
        ("", ["second", "first"]),
        ("&tag=place", ["first"]),
        ("&tag=place%3Dtop", ["first"]),
        ("&tag=place%3Dbottom", []),
        ("&url=SECO", ["second"]),
        ("&verdict=nobody", []),
    ],
)
def test_live_clicks_are_filtered(
    service: Service, admin: Visitor, clicked: str, query: str, links: list[str]
) -> None:
    page = admin.get(f"/live?configuration_set={clicked}{query}").text
    assert [url.rpartition("/")[2] for url in rows_of(page)] == links
    assert rows_of(admin.get("/live?configuration_set=no-such-set").text) == []
    if "first" in links:
        assert "place: top" in page
        assert "link 1 of 2" in page
        assert re.search(r'<th scope="row" class="url"><a href="/messages/[\w-]{21}">\w+@', page)
        assert 'title="Live"' in page


def test_live_clicks_are_filtered_by_who_clicked(admin: Visitor, clicked: str) -> None:
    found = []
    for verdict in ("human", "suspect", "machine"):
        page = admin.get(f"/live?configuration_set={clicked}&verdict={verdict}").text
        assert set(re.findall(r'class="verdict (\w+)"', page)) <= {verdict}
        found += [url.rpartition("/")[2] for url in rows_of(page)]
    assert sorted(found) == ["first", "second"]
    assert "second" in rows_of(page)[0], "curl is a machine"


@pytest.fixture(scope="module")
def clicked(service: Service) -> str:
    """A configuration set with an email of two links, the second clicked by a machine."""
    name = service.configuration_set()
    links = hrefs(sent(service, name, "Live"))
    service.request(links[0])
    service.request(links[1], headers={"User-Agent": "curl/8.5.0"})
    service.wait_for_clicks(name, 2)
    return name


def test_the_stream_is_filtered_as_the_page_is(service: Service, admin: Visitor) -> None:
    name = service.configuration_set()
    links = hrefs(sent(service, name, "Live"))
    path = f"/live/events?configuration_set={name}&tag=place"
    with admin.client.stream("GET", path) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith(":")
        for link in (links[1], links[1], links[0]):
            service.request(link)
        data = next(line for line in lines if line.startswith("data: <tr"))
    assert "http://a.example/first" in data


def test_an_email_says_in_a_sentence_what_became_of_it(
    service: Service, admin: Visitor, mapped: tuple[str, str]
) -> None:
    assert "links were followed 3 times" in admin.get(mapped[1]).text
    name = service.configuration_set()
    sent(service, name, f"Left alone {name}")
    assert (
        "<b>Nobody has clicked it.</b> Its links are tracked."
        in admin.get(found(admin, f"alone {name}")).text
    )
    sent(service, name, f"Plain {name}", "<p>no link</p>")
    plain = admin.get(found(admin, f"plain {name}")).text
    assert "Nobody has clicked it" not in plain
    assert "Not tracked: it has no link" in plain
