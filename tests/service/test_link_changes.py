"""Links after sending: replaced, blocked, and undone, while the service runs."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from support.command_line import invoke
from support.crowd import images
from support.service import Answer, Service, email_with, hrefs, html_of, wait_for
from support.visitor import Visitor

OLD, NEW = "https://shop.example/sale?a=1&b=2", "https://shop.example/new"
HTML = f'<html><body><a href="{OLD.replace("&", "&amp;")}">x</a></body></html>'


def sent(service: Service, name: str, html: str = HTML) -> str:
    """Send an email; return its tracking link."""
    [link] = hrefs(html_of(service.send(email_with(html, name))))
    return link


def answered(service: Service, link: str, status: int, location: str | None = None) -> Answer:
    """Return how a click is answered, as soon as that is so. Looks by HEAD: no click."""

    def look() -> bool | None:
        answer = service.request(link, "HEAD")
        return (answer.status, answer.location) == (status, location) or None

    wait_for(look, f"{status} {location}")
    return service.request(link)


def mailing_named(visitor: Visitor, subject: str) -> str | None:
    """Return the address of a mailing's page."""
    found = re.search(rf'href="(/mailings/\w+)">{subject}<', visitor.get("/mailings").text)
    return found[1] if found else None


def change(service: Service, *words: str) -> str:
    """Make a change; return its id."""
    made = json.loads(service.cli("link", *words, "--json"))
    assert made["made"]
    assert made["madeBy"]
    return str(made["id"])


def clicks(service: Service, name: str, number: int) -> list[dict[str, Any]]:
    return [event["click"] for event in service.wait_for_events(name, number)]


def test_a_replaced_link_leads_elsewhere_and_is_told_by_the_url_as_sent(service: Service) -> None:
    name = service.configuration_set()
    link, other = sent(service, name), sent(service, name, HTML.replace("sale", "other"))
    id_ = change(service, "replace", OLD, NEW)
    answered(service, link, 302, NEW)
    assert service.request(other).location == OLD.replace("sale", "other")
    change(service, "undo", id_)
    answered(service, link, 302, OLD)
    first, second, third = clicks(service, name, 3)
    assert (first["url"], first["link"], first["destination"]) == (OLD, OLD, NEW)
    assert "destination" not in second
    assert (third["url"], "destination" in third) == (OLD, False)
    [listed] = [c for c in json.loads(service.cli("link", "changes", "--json")) if c["id"] == id_]
    assert listed["undone"] > listed["made"]
    assert listed["undoneBy"] == listed["madeBy"] != ""
    assert "is no change" in refused(service, "undo", id_).replace("there is", "is")


def test_a_blocked_link_says_why_with_410_and_is_counted(service: Service) -> None:
    name = service.configuration_set()
    link = sent(service, name)
    id_ = change(service, "block", OLD, "--because", "<b>Recalled</b> & gone")
    answer = answered(service, link, 410)
    assert b"&lt;b&gt;Recalled&lt;/b&gt; &amp; gone" in answer.body
    assert answer.headers["cache-control"] == "no-store"
    assert "location" not in answer.headers
    german = service.request(link, headers={"Accept-Language": "fr;q=0.2, de-AT"}).body
    assert b"Dieser Link wurde gesperrt" in german
    for click in clicks(service, name, 2):
        assert (click["url"], click["destination"]) == (OLD, None)
    service.wait_for_clicks(name, 2)
    change(service, "undo", id_)
    answered(service, link, 302, OLD)


def test_a_change_is_of_a_set_and_since_a_time(service: Service) -> None:
    one, two = service.configuration_set(), service.configuration_set()
    first, second = sent(service, one), sent(service, two)
    ids = [change(service, "replace", OLD, NEW, "--configuration-set", one)]
    answered(service, first, 302, NEW)
    assert service.request(second).location == OLD
    [event] = service.wait_for_events(one, 1)
    later = "https://shop.example/later"
    since = event["click"]["timestamp"]
    ids.append(change(service, "replace", OLD, later, "--since", since))
    answered(service, sent(service, two), 302, later)
    assert service.request(second).location == OLD
    assert service.request(first).location == NEW
    # The newest that is about a link holds.
    ids.append(change(service, "replace", OLD, "http://x.example/"))
    answered(service, first, 302, "http://x.example/")
    for id_ in ids:
        change(service, "undo", id_)


def test_what_stays_of_a_link_goes_with_it_to_where_it_leads(service: Service) -> None:
    name = service.configuration_set()
    service.cli("configuration-set", "update", name, "--pass-parameters")
    link = sent(service, name)
    id_ = change(service, "replace", OLD, "https://shop.example/n?a=2#x")
    answered(service, link, 302, "https://shop.example/n?a=2#x")
    passed = service.request(f"{link}?fbclid=1&a=3")
    assert passed.location == "https://shop.example/n?a=2&fbclid=1#x"
    change(service, "undo", id_)


def test_the_console_changes_links_of_a_mailing_and_says_who_did(
    service: Service, admin: Visitor, viewer: Visitor
) -> None:
    name = service.configuration_set()
    message = email_with(HTML, name)
    del message["Subject"]
    message["Subject"] = f"Recall {name}"
    [link] = hrefs(html_of(service.send(message)))

    page = wait_for(lambda: mailing_named(admin, f"Recall {name}"), "the mailing")
    form = {"url": OLD, "which": "set", "what": "replace", "new": "ftp://x/", "because": ""}
    refused = admin.sent(f"{page}/links", form).text
    assert "is no URL of http or https" in refused
    assert 'value="ftp://x/"' in refused
    said = admin.sent(f"{page}/links", form | {"new": NEW}).text
    assert f"lead to {NEW}." in said
    answered(service, link, 302, NEW)
    form |= {"what": "block", "because": "Recalled"}
    said = admin.sent(f"{page}/links", form).text
    answered(service, link, 410)
    seen = viewer.get(page).text
    assert "nowhere: Recalled" in seen
    assert f"of {name}" in seen
    assert "Undo</button>" not in seen
    ids = re.findall(r'name="change" value="([^"]+)"', admin.get(page).text)
    assert len(ids) == 2
    for id_ in ids:
        assert "lead again" in admin.sent(f"{page}/links/undo", {"change": id_}).text
    answered(service, link, 302, OLD)
    mine = [c for c in json.loads(service.cli("link", "changes", "--json")) if c["id"] in ids]
    assert {(c["madeBy"], c["undoneBy"], c["configurationSet"]) for c in mine} == {
        ("test administrator", "test administrator", name)
    }


def test_changes_hold_when_the_service_starts_anew(service: Service) -> None:
    name = service.configuration_set()
    link = sent(service, name)
    id_ = change(service, "replace", OLD, NEW)
    answered(service, link, 302, NEW)
    service.stop()
    service.start()
    assert service.request(link).location == NEW
    change(service, "undo", id_)
    answered(service, link, 302, OLD)


def test_what_cannot_be_a_change_is_refused_with_the_reason(service: Service) -> None:
    for url in ("ftp://a.example/", "javascript:alert(1)", "shop.example", "https://", "//a/"):
        assert "http" in refused(service, "replace", OLD, url)
    assert "at most 8192" in refused(service, "replace", OLD, "https://a.example/" + "x" * 8192)
    assert "why" in refused(service, "block", OLD, "--because", " ")
    assert "'nobody'" in refused(
        service, "block", OLD, "--because", "x", "--configuration-set", "nobody"
    )
    assert "no time" in refused(service, "replace", OLD, NEW, "--since", "yesterday")


def test_a_link_is_not_changed_to_lead_to_itself_or_to_a_tracking_link(
    service: Service, admin: Visitor
) -> None:
    name = service.configuration_set(types=("CLICK", "OPEN", "SUBSCRIPTION"))
    page, more = OLD.replace("sale", name), NEW + name
    message = email_with(
        HTML.replace("sale", name) + "<a href='{{amazonSESUnsubscribeUrl}}'>off</a>", name
    )
    message.replace_header("Subject", f"Mixed {name}")
    message["X-SES-LIST-MANAGEMENT-OPTIONS"] = f"contactListName={name}"
    html = html_of(service.send(message))
    link, leave = hrefs(html)
    for itself in (page, page.replace("https://shop", "HTTPS:\\\\SHOP")):
        assert "to themselves" in refused(service, "replace", page, itself)
    # As a reader's program may have altered them, and by any host: the redirect opens these too.
    for ours in (link, f"{link}.", f"{link}?fbclid=1", leave, images(html)[0]):
        for host in (urlsplit(ours).netloc, "click.example.com"):
            elsewhere = urlsplit(ours)._replace(netloc=host).geturl()
            assert "is a tracking link of this" in refused(service, "replace", page, elsewhere)
    assert "is a tracking link: give" in refused(service, "replace", link, NEW)
    form = {"url": page, "which": "all", "what": "replace", "new": link, "because": ""}
    mailing = wait_for(lambda: mailing_named(admin, f"Mixed {name}"), "the mailing")
    assert "is a tracking link of this" in admin.sent(f"{mailing}/links", form).text
    assert [c for c in all_changes(service) if c["url"] == page] == []
    # Those of others are URLs like any other.
    theirs = f"https://other.example{urlsplit(link).path[:-4]}AAAA"
    ids = [change(service, "replace", page, theirs), change(service, "replace", page, more)]
    answered(service, link, 302, more)
    for id_ in ids:
        change(service, "undo", id_)


def test_two_links_that_were_mixed_up_lead_each_where_the_other_did(service: Service) -> None:
    """A chain that ends where it began is no circle: a click is led once."""
    name = service.configuration_set()
    pages = [f"https://shop.example/{name}/{number}" for number in range(3)]
    links = [sent(service, name, f'<a href="{page}">x</a>') for page in pages]
    ids = [change(service, "replace", pages[n], pages[(n + 1) % 3]) for n in range(3)]
    for number, link in enumerate(links):
        answered(service, link, 302, pages[(number + 1) % 3])
    led = {click["url"]: click["destination"] for click in clicks(service, name, 3)}
    assert led == {pages[n]: pages[(n + 1) % 3] for n in range(3)}
    for id_ in ids:
        change(service, "undo", id_)


def all_changes(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(service.cli("link", "changes", "--json"))
    return found


def refused(service: Service, *words: str) -> str:
    done = invoke(["link", *words, "--data", str(service.data)])
    assert done.exit_code == 1, done.output
    return " ".join(done.output.split())
