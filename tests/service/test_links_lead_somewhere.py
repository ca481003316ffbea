"""Tracking links lead to where somebody listens; hosts are checked alike everywhere."""

import json
import smtplib
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from clicktrail.errors import SettingError
from clicktrail.settings.settings import Settings
from support.certificates import make_certificate
from support.command_line import invoke
from support.service import PATIENCE, Service, email_with, hrefs, html_of, wait_for
from support.ses import access_key, ses_client

HTML = '<a href="http://a.example/">a</a> <a href="https://b.example/">b</a>'


def sent_links(service: Service, name: str) -> list[str]:
    return hrefs(html_of(service.send(email_with(HTML, name))))


def hosts(links: list[str]) -> list[str]:
    return [f"{urlsplit(link).scheme}://{urlsplit(link).netloc}" for link in links]


def test_links_work_with_nothing_but_a_tracking_host(tmp_path: Path) -> None:
    """What README says: http alone is served, so links to https pages have http links."""
    flags = ("--tracking-host", "click.example.com", "--tracking-without-https", "http")
    with Service(tmp_path, *flags) as service:
        links = sent_links(service, service.configuration_set())
        assert hosts(links) == ["http://click.example.com"] * 2
        assert service.request(links[1]).location == "https://b.example/"
        assert "nobody is known to serve https" in service.said
        assert "tracking.without_https" in service.said


def test_the_default_is_that_which_works(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        told = service.cli("settings", "--json")
        (row,) = [r for r in json.loads(told) if r["setting"] == "tracking.without_https"]
        assert row["value"] == "http"


def test_https_links_stay_as_they_are_where_that_was_chosen(tmp_path: Path) -> None:
    with Service(tmp_path, "--tracking-without-https", "untracked") as service:
        name = service.configuration_set()
        first, second = sent_links(service, name)
        assert hosts([first]) == [f"http://127.0.0.1:{service.http}"]
        assert second == "https://b.example/"
        assert "stay untracked" in service.said


@pytest.mark.parametrize(
    "flags", [("--tracking-https-host", "s.example"), ("--tracking-without-https", "trust")]
)
def test_https_links_are_https_where_something_serves_it(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    with Service(tmp_path, "--tracking-host", "s.example", *flags) as service:
        name = service.configuration_set()
        assert hosts(sent_links(service, name)) == ["http://s.example", "https://s.example"]
        assert "nobody is known" not in service.said
        service.cli("configuration-set", "update", name, "--redirect-domain", "own.example")
        assert hosts(sent_links(service, name)) == ["http://own.example", "https://own.example"]
        service.cli("configuration-set", "update", name, "--https-policy", "REQUIRE")
        assert hosts(sent_links(service, name)) == ["https://own.example"] * 2


def test_with_a_listener_of_its_own_https_links_lead_there(tmp_path: Path, port: int) -> None:
    certificate, key = make_certificate(tmp_path)
    flags = ("--redirect-tls-listen", f"127.0.0.1:{port}", "--redirect-tls-certificate")
    with Service(
        tmp_path, *flags, str(certificate), "--redirect-tls-key", str(key),
        "--tracking-without-https", "http",
    ) as service:  # fmt: skip
        links = sent_links(service, service.configuration_set())
        assert hosts(links) == [f"http://127.0.0.1:{service.http}", f"https://127.0.0.1:{port}"]


def test_a_set_that_requires_https_gets_no_link_that_nobody_serves(tmp_path: Path) -> None:
    with Service(tmp_path, "--tracking-without-https", "http") as service:
        name = service.configuration_set()
        service.cli("configuration-set", "update", name, "--redirect-domain", "own.example:8080")
        assert hosts(sent_links(service, name)) == ["http://own.example:8080"] * 2
        service.cli("configuration-set", "update", name, "--https-policy", "REQUIRE")
        assert sent_links(service, name) == ["http://a.example/", "https://b.example/"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--redirect-listen", "0.0.0.0:0"), "where nobody can go"),
        (("--tracking-host", "0.0.0.0:8480"), "no link leads there"),
        (("--tracking-host", "http://click.example.com"), "leave out the scheme"),
        (("--tracking-host", "click.example.com/x"), "leave out the path"),
        (("--tracking-host", "*.example.com"), "no wildcard"),
        (("--tracking-https-host", "a@b"), "leave out the @"),
        (("--redirect-domains", "a.example,b..example"), "empty label"),
        (("--smtp-hostname", "-x-.com"), "hyphen"),
        (("--smtp-hostname", "192.0.2.1"), "it is an address"),
        (("--smtp-hostname", "mail.example.com:25"), "leave out the port"),
        (("--smtp-hostname", "my_mail.example.com"), "no underscore"),
        (("--tracking-scheme", "https", "--tracking-without-https", "http"), "nobody is known"),
    ],
)
def test_it_does_not_start_with_links_that_lead_nowhere(
    tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    service = Service(tmp_path, *flags)
    with pytest.raises(AssertionError, match="did not start"):
        service.start()
    assert service.wait() == 1
    told = service.log.read_text()
    assert said in told
    assert "Traceback" not in told


def test_who_only_redirects_may_listen_everywhere(tmp_path: Path, port: int) -> None:
    flags = ("--role", "redirect", "--redirect-listen", f"0.0.0.0:{port}")
    with Service(tmp_path, *flags, embedded=False) as service:
        assert "links " not in service.said


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("names"), "--tracking-host", "клик.рф") as service:
        yield service


def test_a_tracking_host_in_another_alphabet_is_tracked(running: Service) -> None:
    name = running.configuration_set()
    assert hosts(sent_links(running, name))[0] == "http://xn--h1adbc.xn--p1ai"
    running.cli("configuration-set", "update", name, "--redirect-domain", "Клики.рф")
    links = sent_links(running, name)
    assert hosts(links)[0] == "http://xn--h1aaebd.xn--p1ai"
    assert running.request(links[0]).status == 302


BAD_NAMES = ["http://example.com", "a@b@c", "*.example.com", "-x-.com", "a..example", "a.b/c"]


def refused(service: Service, *arguments: str) -> str:
    """Run a command that must fail, in this process; return what it said, in one line."""
    done = invoke([*arguments[:2], "--data", str(service.data), *arguments[2:]])
    assert done.exit_code == 1, done.output
    return str(done.stderr).removeprefix("clicktrail: ").strip()


@pytest.fixture(scope="module")
def ses(running: Service) -> Any:
    return ses_client(running, access_key(running, "manage"))


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_a_host_is_refused_alike_wherever_it_is_given(running: Service, ses: Any, bad: str) -> None:
    name = running.configuration_set(stream=False)
    why = refused(running, "configuration-set", "update", name, f"--redirect-domain={bad}")
    assert "is not the name of a host: " in why
    for setting in ("tracking.host", "tracking.https_host", "redirect.domains", "smtp.hostname"):
        with pytest.raises(SettingError) as wrong:
            Settings({setting: (bad, "x")})
        assert why in str(wrong.value)
    with pytest.raises(ses.exceptions.BadRequestException) as said:
        ses.put_configuration_set_tracking_options(
            ConfigurationSetName=name, CustomRedirectDomain=bad
        )
    assert why in str(said.value)


@pytest.mark.parametrize("bad", [*BAD_NAMES, "example", "a@example", "192.0.2.1", "a b@x.com"])
def test_an_identity_that_is_none_is_refused_wherever_it_is_given(
    running: Service, ses: Any, bad: str
) -> None:
    why = refused(running, "identity", "create", "--", bad)
    assert "is not an identity" in why
    with pytest.raises(ses.exceptions.BadRequestException) as said:
        ses.create_email_identity(EmailIdentity=bad)
    assert why in str(said.value)


def ready(service: Service) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.monitor}/readyz") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
def test_a_fault_of_ours_is_told_in_readyz_and_not_blamed_on_the_email(
    tmp_path: Path, embedded: bool
) -> None:
    with Service(tmp_path, embedded=embedded) as service:
        name = service.configuration_set()
        # As an older version let it be written: no host at all.
        with sqlite3.connect(service.data / "clicktrail.db") as store:
            store.execute("UPDATE configuration_sets SET redirect_domain = 'http://клик.рф'")
            store.execute("UPDATE configuration_version SET version = version + 1")
        assert sent_links(service, name) == ["http://a.example/", "https://b.example/"]
        status, told = wait_for(
            lambda: found if (found := ready(service))[0] == 503 else None, "a problem"
        )
        assert (status, "tracking" in json.loads(told)["why"]) == (503, True)
        assert name in told
        assert "leave out the scheme" in told
        (line,) = service.logged("email goes on untracked")
        assert line["level"] == "error"
        with sqlite3.connect(service.data / "clicktrail.db") as store:
            assert store.execute("SELECT reason FROM messages").fetchall() == [("",)]
        service.cli("configuration-set", "update", name, "--redirect-domain", "клик.рф")
        assert len(set(hosts(sent_links(service, name)))) == 2
        wait_for(lambda: ready(service)[0] == 200 or None, "the end of the problem")


def test_an_email_that_cannot_be_parsed_is_no_fault_of_ours(running: Service) -> None:
    name = running.configuration_set()
    raw = (
        f"From: a@example.com\r\nTo: b@example.com\r\nX-SES-CONFIGURATION-SET: {name}\r\n"
        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "!!!! no base64 =\r\n"
    )
    with smtplib.SMTP("127.0.0.1", running.smtp, timeout=PATIENCE) as client:
        client.sendmail("a@example.com", ["b@example.com"], raw.encode())
    running.arrived()
    assert ready(running)[0] == 200
