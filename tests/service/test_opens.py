"""Opens, through the whole service: the image in the email, its event, its metric."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from support.service import BROWSER, Service, email_with, hrefs, html_of, wait_for
from support.visitor import Visitor

IMAGE = re.compile(
    r'<img src="(https?://[^"/]+/o/[A-Za-z0-9_-]+)" width="1" height="1" alt=""[^>]*>'
)
GIF = b"GIF89a\x01\x00\x01\x00"
PROXIES = {
    "Apple": "Mozilla/5.0",
    "Gmail": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0"
    " (via ggpht.com GoogleImageProxy)",
    "Yahoo": "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
}
HTML = '<html><body><p>text</p><a href="https://a.example/">x</a></body></html>'


def image_of(html: str) -> str | None:
    found = IMAGE.search(html)
    return found[1] if found else None


def sent(service: Service, name: str, html: str = HTML) -> str:
    return html_of(service.send(email_with(html, name)))


def test_an_open_is_told_and_counted_and_is_no_click(service: Service, ses: Any) -> None:
    name = service.configuration_set(types=("OPEN",))
    html = sent(service, name)
    assert hrefs(html) == ["https://a.example/"]  # clicks are not tracked
    assert IMAGE.sub("", html).rstrip() == HTML
    assert re.search(r"<img [^>]*></body></html>\s*\Z", html)
    url = image_of(html)
    assert url
    for _ in range(2):
        answer = service.request(url)
        assert (answer.status, answer.body[:10], len(answer.body)) == (200, GIF, 43)
        assert answer.headers["content-type"] == "image/gif"
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers
    first, second = service.wait_for_events(name, 2)
    assert set(first) == {"eventType", "mail", "open", "eventId"}
    assert (first["eventType"], first["mail"]["destination"]) == ("Open", ["reader@gmail.com"])
    assert first["mail"]["timestamp"] < first["open"]["timestamp"] < second["open"]["timestamp"]
    assert set(first["open"]) == {"ipAddress", "timestamp", "userAgent", "bot"}
    assert (first["open"]["ipAddress"], first["open"]["userAgent"]) == ("127.0.0.1", BROWSER)
    assert first["eventId"] != second["eventId"]
    assert counted(ses, name) == {"OPEN": 2, "CLICK": 0, "SEND": 1}
    assert service.statistics("--configuration-set", name)["clicks"] == 0
    days = json.loads(service.cli("statistics", "--opens", "--json", "--configuration-set", name))
    assert sum(day["opens"] for day in days) == 2


def counted(ses: Any, name: str) -> dict[str, int]:
    now = datetime.now(UTC)
    answer = ses.batch_get_metric_data(
        Queries=[
            {
                "Id": metric.lower(),
                "Namespace": "VDM",
                "Metric": metric,
                "Dimensions": {"CONFIGURATION_SET": name, "ISP": "Google"},
                "StartDate": now - timedelta(days=1),
                "EndDate": now + timedelta(days=1),
            }
            for metric in ("OPEN", "CLICK", "SEND")
        ]
    )
    assert answer["Errors"] == []
    return {result["Id"].upper(): sum(result["Values"]) for result in answer["Results"]}


def test_the_console_shows_opens_in_the_time_line(service: Service, viewer: Visitor) -> None:
    name = service.configuration_set(types=("OPEN",))
    url = image_of(sent(service, name))
    assert url
    service.request(url, headers={"User-Agent": PROXIES["Gmail"]})
    [event] = service.wait_for_events(name, 1)
    page = viewer.get(f"/messages/{event['mail']['messageId']}").text
    assert "Image of an open fetched by Gmail&#39;s image proxy" in page
    assert f"stream {name}: in the stream" in page
    overview = viewer.get(f"/?configuration_set={name}").text
    assert "Opens in these days of UTC: 1, of these by people 0." in overview
    closed = service.configuration_set()
    assert "Opens in these days" not in viewer.get(f"/?configuration_set={closed}").text


def test_proxies_are_told_by_name_and_are_no_people(service: Service) -> None:
    name = service.configuration_set(types=("OPEN",))
    url = image_of(sent(service, name))
    assert url
    for agent in PROXIES.values():
        service.request(url, headers={"User-Agent": agent})
    opened = [event["open"] for event in service.wait_for_events(name, 3)]
    assert [each["proxy"] for each in opened] == list(PROXIES)
    assert all("proxy" in each["bot"]["reasons"] for each in opened)
    assert all("user-agent" not in each["bot"]["reasons"] for each in opened)
    assert all(each["bot"]["verdict"] != "human" for each in opened)
    assert opened[0]["bot"]["verdict"] == "machine"


def test_engagement_statistics_alone_add_no_image_and_do_when_told_to(
    service: Service, ses: Any
) -> None:
    name = service.configuration_set(stream=False, engagement=True)
    assert image_of(sent(service, name)) is None
    service.cli("engagement-statistics", "enable", name, "--opens")
    assert json.loads(service.cli("configuration-set", "show", name, "--json"))["openTracking"]
    html = sent(service, name)
    url = image_of(html)
    assert url
    assert "/c/" in hrefs(html)[0]
    service.request(url)
    wait_for(lambda: counted(ses, name)["OPEN"] == 1 or None, "an open")
    service.cli("engagement-statistics", "disable", name)
    assert image_of(sent(service, name)) is None
    service.cli("engagement-statistics", "enable", name)
    assert image_of(sent(service, name)) is None


def test_opens_are_switched_for_one_email(service: Service, ses: Any) -> None:
    on, off = service.configuration_set(types=("OPEN",)), service.configuration_set()
    for name, tracking, image, link in (
        (on, {"OpenTrackingEnabled": "DISABLED"}, False, False),
        (on, {"ClickTrackingEnabled": "ENABLED"}, True, True),
        (off, {"OpenTrackingEnabled": "ENABLED"}, True, True),
        (off, {"OpenTrackingEnabled": "ENABLED", "ClickTrackingEnabled": "DISABLED"}, True, False),
    ):
        overrides = {"Tracking": tracking}
        ses.send_email(
            FromEmailAddress="news@example.com",
            Destination={"ToAddresses": ["reader@gmail.com"]},
            Content={
                "Simple": {"Subject": {"Data": "x"}, "Body": {"Html": {"Data": HTML}}},
            },
            ConfigurationSetName=name,
            ConfigurationOverrides=overrides,
        )
        html = html_of(service.arrived())
        assert (image_of(html) is not None, "/c/" in hrefs(html)[0]) == (image, link)


def test_the_image_stands_at_the_placeholder(service: Service) -> None:
    name = service.configuration_set(types=("OPEN",))
    html = sent(service, name, "<body><p>{{ses:openTracker}}text</p></body>")
    assert re.search(r"<p><img [^>]*>text</p></body>", html)


def test_several_recipients_get_no_image(service: Service) -> None:
    name = service.configuration_set(types=("OPEN", "CLICK"))
    arrived = service.send(email_with(HTML, name), ["a@example.org", "b@example.org"])
    assert html_of(arrived).rstrip() == HTML


def test_head_and_prefetches_are_no_opens(service: Service) -> None:
    name = service.configuration_set(types=("OPEN",))
    url = image_of(sent(service, name))
    assert url
    head = service.request(url, "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "43")
    assert service.request(url, headers={"Sec-Purpose": "prefetch"}).status == 503
    assert service.request(url).status == 200
    assert len(service.wait_for_events(name, 1)) == 1


def test_a_link_is_no_image_and_an_image_no_link(service: Service) -> None:
    name = service.configuration_set(types=("OPEN", "CLICK"))
    html = sent(service, name)
    url = image_of(html)
    assert url
    for given in (url.replace("/o/", "/c/"), hrefs(html)[0].replace("/c/", "/o/"), url[:-9]):
        assert service.request(given).status == 404
    assert service.request(url + "%0D%0A").status == 200  # altered
    [event] = service.wait_for_events(name, 1)
    assert "altered" in event["open"]["bot"]["reasons"]
    held = json.loads(service.cli("link", "open", url, "--json"))
    assert held["messageId"] == event["mail"]["messageId"]


def test_what_an_erased_person_opens_is_told_without_them(service: Service) -> None:
    name = service.configuration_set(types=("OPEN",))
    message = email_with(HTML, name)
    del message["To"]
    message["To"] = "gone@example.org"
    url = image_of(html_of(service.send(message, ["gone@example.org"])))
    assert url
    service.request(url)
    service.wait_for_events(name, 1)
    done = json.loads(service.cli("recipients", "forget", "gone@example.org", "--yes", "--json"))
    assert (done["opens"], done["events"]) == (1, 1)
    service.request(url)
    for event in service.wait_for_events(name, 2):
        assert (event["open"]["ipAddress"], event["open"]["userAgent"]) == ("", "")
        assert set(event["mail"]) == {"messageId"}
