"""Behind nginx, set up as docs/behind-a-proxy.md says."""

import http.client
import random
import ssl
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.certificates import make_certificate
from support.nginx import NEEDS_NGINX, example_of, nginx
from support.ports import Ports
from support.service import HEADERS, PATIENCE, Answer, Service, email_with, hrefs, html_of

pytestmark = NEEDS_NGINX

DOCUMENT = Path(__file__).parents[2] / "docs" / "behind-a-proxy.md"
CLIENT = "127.0.0.2"
"""Where the visitor's connections come from: not the proxy's own address."""


@dataclass(frozen=True)
class Proxy:
    """A running nginx in front of a running service."""

    service: Service
    http: int
    https: int

    def click(self, link: str, headers: dict[str, str] | None = None) -> Answer:
        parts = urlsplit(link)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            trusting = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(
                "127.0.0.1",
                self.https,
                context=trusting,
                source_address=(CLIENT, 0),
                timeout=PATIENCE,
            )
        else:
            connection = http.client.HTTPConnection(
                "127.0.0.1", self.http, source_address=(CLIENT, 0), timeout=PATIENCE
            )
        try:
            connection.request("GET", parts.path, headers=HEADERS | (headers or {}))
            answer = connection.getresponse()
            shown = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, shown, answer.read())
        finally:
            connection.close()


def example(service: Service, http_port: int, https_port: int, folder: Path) -> str:
    """Return the document's example, on ports of ours, with a certificate of ours."""
    certificate, key = make_certificate(folder)
    replaced = {
        "127.0.0.1:8480": f"127.0.0.1:{service.http}",
        "listen 80;": f"listen 127.0.0.1:{http_port};",
        "listen 443 ssl;": f"listen 127.0.0.1:{https_port} ssl;",
        "/etc/ssl/click.example.com.pem": str(certificate),
        "/etc/ssl/click.example.com.key": str(key),
    }
    return example_of(DOCUMENT, replaced)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("behind-nginx")
    trusted = ("--redirect-trusted-proxies", "127.0.0.1/32")
    with (
        Ports(2) as (http_port, https_port),
        Service(folder, *trusted) as service,
        nginx(folder, example(service, http_port, https_port, folder)),
    ):
        yield Proxy(service, http_port, https_port)


def links_of(proxy: Proxy, *urls: str) -> tuple[str, list[str]]:
    """Send an email with these links; return its configuration set and the tracking links."""
    name = proxy.service.configuration_set()
    proxy.service.cli("configuration-set", "update", name, "--link-limit", "0")
    html = "".join(f'<a href="{url}">x</a>' for url in urls)
    return name, hrefs(html_of(proxy.service.send(email_with(html, name))))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_click_passes_and_is_logged_with_the_visitors_address(proxy: Proxy, scheme: str) -> None:
    url = f"{scheme}://shop.example/offer?a=1&b=2"
    name, (link,) = links_of(proxy, url.replace("&", "&amp;"))
    assert urlsplit(link).scheme == scheme
    answer = proxy.click(link)
    assert (answer.status, answer.location) == (302, url)
    assert answer.headers["cache-control"] == "no-store"
    (event,) = proxy.service.wait_for_events(name, 1)
    assert event["click"]["ipAddress"] == CLIENT
    assert event["click"]["url"] == url


def test_an_address_that_the_visitor_invents_is_not_believed(proxy: Proxy) -> None:
    name, (link,) = links_of(proxy, "http://shop.example/")
    invented = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}
    assert proxy.click(link, invented).status == 302
    (event,) = proxy.service.wait_for_events(name, 1)
    assert event["click"]["ipAddress"] == CLIENT


def test_the_longest_tracking_link_passes(proxy: Proxy) -> None:
    noise = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=8000))
    url = f"http://shop.example/{noise}"
    _, (link,) = links_of(proxy, url)
    assert len(link) > 8000
    assert proxy.click(link).location == url


def test_a_link_that_is_not_ours_is_not_found(proxy: Proxy) -> None:
    assert proxy.click("http://click.example.com/c/AAAA").status == 404
