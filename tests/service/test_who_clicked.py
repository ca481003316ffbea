"""Who clicked: the console's page and its CSV, the command and the API say the same."""

import csv
import io
import json
import re

import httpx
import pytest

from support.service import BROWSER, PATIENCE, Service, email_with, hrefs, html_of, wait_for
from support.visitor import Visitor

HTML = '<a href="http://a.example/boots">Boots</a> <a href="http://a.example/hats">Hats</a>'
PERSON = ("human", "suspect")  # so soon after the email, it is not sure
SUBJECT = '=SUM("who") & clicked'


@pytest.fixture(scope="module")
def mailing(service: Service, admin: Visitor) -> str:
    """A mailing of three emails, of which a person and a crawler clicked one each: its page."""
    name = service.configuration_set()
    links = []
    for number in range(3):
        message = email_with(HTML, name)
        message.replace_header("Subject", SUBJECT)
        message.replace_header("To", f"reader{number}@gmail.com")
        sent = service.send(message, [f"reader{number}@gmail.com"])
        links.append(hrefs(html_of(sent)))
    service.request(links[0][0], headers={"User-Agent": BROWSER})
    service.request(links[0][0], headers={"User-Agent": BROWSER})
    service.request(links[1][1], headers={"User-Agent": "Googlebot/2.1"})
    service.wait_for_clicks(name, 3)

    def page() -> str | None:
        found = re.search(
            rf'href="(/mailings/\w+)">{re.escape("=SUM(&#34;who&#34;) &amp; clicked")}',
            admin.get("/mailings").text,
        )
        return found[1] if found else None

    return wait_for(page, "mailing")


def recipients(text: str) -> list[str]:
    return re.findall(r'<a href="/messages/[^"]+">([^<]+)</a>', text)


def test_the_page_names_who_clicked_and_whether_it_was_a_person(
    admin: Visitor, mailing: str
) -> None:
    def whole() -> str | None:
        text = admin.get(f"{mailing}/clicked").text
        return text if len(recipients(text)) == 2 else None

    text = wait_for(whole, "two who clicked")
    assert recipients(text) == ["reader1@gmail.com", "reader0@gmail.com"]
    verdicts = re.findall(r'class="verdict (\w+)"', text)
    assert verdicts[0] == "machine"
    assert verdicts[1] in PERSON
    boots = admin.get(f"{mailing}/clicked?link=a.example/boots").text
    assert recipients(boots) == ["reader0@gmail.com"]
    assert recipients(admin.get(f"{mailing}/clicked?q=ader1@").text) == ["reader1@gmail.com"]
    assert "Nobody clicked" in admin.get(f"{mailing}/clicked?q=reader2").text


def test_csv_command_and_api_have_all_of_them(
    service: Service, admin: Visitor, mailing: str
) -> None:
    digest = mailing.rpartition("/")[2]
    page = admin.get(f"{mailing}/clicked.csv")
    assert page.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(page.text)))
    assert [(r["recipient"], r["clicks"]) for r in rows] == [
        ("reader1@gmail.com", "1"),
        ("reader0@gmail.com", "2"),
    ]
    assert rows[0]["verdict"] == "machine"
    assert rows[1]["verdict"] in PERSON
    assert rows[0]["subject"] == f"'{SUBJECT}"  # no formula
    said = service.cli("clicks", "--mailing", SUBJECT, "--csv")
    assert list(csv.DictReader(io.StringIO(said))) == rows
    lines = [
        json.loads(line)
        for line in service.cli("clicks", "--mailing", digest, "--json").splitlines()
    ]
    assert lines[1]["links"] == ["http://a.example/boots"]
    assert "reader0@gmail.com" in service.cli("clicks", "--link", "boots", "--since", "7d")
    token = (service.data / "api-token").read_text().strip()
    base = f"http://127.0.0.1:{service.api}/v1/clicks"
    with httpx.Client(timeout=PATIENCE, headers={"Authorization": f"Bearer {token}"}) as client:
        answer = client.get(base, params={"mailing": SUBJECT})
        assert [json.loads(line) for line in answer.text.splitlines()] == lines
        answer = client.get(base, params={"mailing": digest}, headers={"Accept": "text/csv"})
        assert list(csv.DictReader(io.StringIO(answer.text))) == rows
        answer = client.get(base, params={"since": "9999-01-01", "link": "boots"})
        assert (answer.status_code, answer.text) == (200, "")
        for asked, status, why in (
            ({"since": "x"}, 400, "no time"),
            ({"mailing": "none"}, 404, "no mailing"),
            ({"search": "a " * 9 + "b c d e f g h i j k l m n o p q r s t u"}, 400, "too much"),
        ):
            answer = client.get(base, params=asked)
            assert (answer.status_code, why in answer.json()["message"]) == (status, True)
        assert client.get(base, headers={"Authorization": "Bearer no"}).status_code == 401
