"""Certificates that come by themselves: the whole service, and Pebble as the authority."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509

from support.pebble import Pebble, needs_pebble
from support.ports import Ports
from support.service import PATIENCE, Service, wait_for

pytestmark = needs_pebble

NAME, OTHER = "click.shop.example", "go.shop.example"


class Secure:
    """A service with https, and the authority that it asks."""

    def __init__(self, folder: Path, *flags: str, **environment: str) -> None:
        self._ports = Ports(1)
        [self.port] = self._ports
        self.service = Service(folder, *flags)
        self.pebble = Pebble(
            folder / "pebble", self.service.http, self.port, NAME, OTHER, environment=environment
        )
        self.service._flags += (
            *("--redirect-tls-listen", f"127.0.0.1:{self.port}"),
            *("--tracking-host", f"{NAME}:{self.service.http}"),
            *("--tracking-https-host", f"{NAME}:{self.port}"),
        )

    def shown(self, name: str, trust: Path | None = None) -> x509.Certificate | None:
        """Return the certificate that is shown for a name, where there is one."""
        context = ssl.create_default_context(cafile=trust)
        if trust is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with suppress(ssl.SSLError), socket.create_connection(("127.0.0.1", self.port)) as raw:
            raw.settimeout(PATIENCE)
            with context.wrap_socket(raw, server_hostname=name) as secure:
                der = secure.getpeercert(binary_form=True)
                assert der is not None
                return x509.load_der_x509_certificate(der)
        return None


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    made = Secure(tmp_path)
    with made.pebble as pebble:
        made.service._flags += pebble.flags()
        with made.service:
            yield made


def test_a_certificate_comes_by_itself_and_for_a_domain_that_is_set_later(
    secure: Secure, tmp_path: Path
) -> None:
    trust = secure.pebble.root(tmp_path / "root.pem")
    first = wait_for(lambda: secure.shown(NAME, trust), "a certificate")
    assert secure.shown(OTHER) is None
    name = secure.service.configuration_set()
    secure.service.cli("configuration-set", "update", name, "--redirect-domain", OTHER)
    other = wait_for(lambda: secure.shown(OTHER, trust), "a certificate of the other domain")
    assert first.serial_number != other.serial_number
    assert secure.shown(NAME, trust) == first
