"""Times in a store that no calendar has: the lists they stand in are shown all the same."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.service import Service, email_with, hrefs, html_of
from support.ses import access_key, ses_client
from support.visitor import Visitor, account

LIVE = {("console_sessions", "seen_at"), ("console_sessions", "expires_at")}
"""Those by which the person who looks is signed in."""
CONTACT = "c@b.example"
TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table'"
COMMANDS = ("access-key", "console-user", "configuration-set", "identity", "smtp-user")


def damage(service: Service, at: int) -> set[str]:
    """Set each time in each table that has rows; return the tables."""
    with closing(sqlite3.connect(service.data / "clicktrail.db", timeout=60)) as store:
        tables = [
            name for (name,) in store.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        columns = [
            (table, row[1])
            for table in tables
            for row in store.execute(f"PRAGMA table_info('{table}')")
            if row[1].endswith("_at") and row[2].upper() == "BIGINT" and not row[5]
        ]
        changed = {
            table
            for table, column in columns
            if (table, column) not in LIVE
            and store.execute(
                f"UPDATE {table} SET {column} = ? WHERE {column} IS NOT NULL", (at,)
            ).rowcount
        }
        store.commit()
    return changed


def filled(service: Service) -> tuple[str, Any]:
    """Put something into each list; return the configuration set and a client of the API."""
    name = service.configuration_set()
    email = email_with('<a href="http://a.example/1">x</a>', name)
    for link in hrefs(html_of(service.send(email))):
        service.request(link)
    service.wait_for_events(name, 1)
    ses = ses_client(service, access_key(service, "send", "manage"))
    ses.create_contact_list(ContactListName="l")
    ses.create_contact(ContactListName="l", EmailAddress=CONTACT)
    ses.create_email_template(TemplateName="t", TemplateContent={"Subject": "s", "Text": "x"})
    ses.put_suppressed_destination(EmailAddress="s@b.example", Reason="BOUNCE")
    service.cli("smtp-user", "create", "u")
    return name, ses


@pytest.mark.parametrize("at", [10**18, -9 * 10**18])
def test_a_time_that_no_calendar_has_hides_no_list(tmp_path: Path, at: int) -> None:
    with Service(tmp_path) as service:
        look_at_all(service, at)


def look_at_all(service: Service, at: int) -> None:
    name, ses = filled(service)
    with Visitor(service) as visitor:
        visitor.welcome(account(service, "adm", "administrator"))
        pages = ["/", "/live", "/mailings", "/messages", "/messages?q=x", f"/configurations/{name}"]
        pages += ["/suppression", "/templates", "/contact-lists", "/contact-lists/l"]
        pages.append("/contact-lists/l/contact?address=c%40b.example")
        for of in ("messages", "mailings"):
            found = re.search(rf'href="(/{of}/[^"?/]+)', visitor.get(f"/{of}").text)
            assert found is not None
            pages.append(found[1])
        pages += [f"{pages[-1]}/clicked", f"{pages[-1]}/clicked.csv"]
        assert damage(service, at) >= {
            *("messages", "clicks", "clicked_links", "mailings", "suppressed_destinations"),
            *("contact_lists", "contacts", "email_templates", "access_keys", "console_accounts"),
        }
        assert {page: visitor.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)
    year = 9999 if at > 0 else 1
    [contacts] = ses.list_contact_lists()["ContactLists"]
    assert contacts["LastUpdatedTimestamp"].year == year
    contact = ses.get_contact(ContactListName="l", EmailAddress=CONTACT)
    assert {contact["CreatedTimestamp"].year, contact["LastUpdatedTimestamp"].year} == {year}
    [template] = ses.list_email_templates()["TemplatesMetadata"]
    [destination] = ses.list_suppressed_destinations()["SuppressedDestinationSummaries"]
    assert {template["CreatedTimestamp"].year, destination["LastUpdateTime"].year} == {year}
    for command in COMMANDS:
        service.cli(command, "list")
    assert str(year) in service.cli("suppression", "list")
    assert "Traceback" not in service.log.read_text()


def test_a_role_that_is_none_lets_its_account_look(tmp_path: Path) -> None:
    with Service(tmp_path) as service, Visitor(service) as visitor:
        visitor.welcome(account(service, "adm", "administrator"))
        with closing(sqlite3.connect(service.data / "clicktrail.db", timeout=60)) as store:
            store.execute("UPDATE console_accounts SET role = 'odd' WHERE name = 'adm'")
            store.commit()
        assert visitor.get("/configurations").status_code == 200
        assert visitor.post("/configurations", {"name": "x"}).status_code == 403
        assert "adm" in service.cli("console-user", "list")
        assert (
            service.log.read_text().count("the role of an account of the console is damaged") == 1
        )
        service.cli("console-user", "role", "adm", "administrator")
        assert visitor.post("/configurations", {"name": "x"}).status_code != 403
