"""Pebble, the certificate authority for tests (Debian's ``pebble``), on loopback."""

import http.client
import json
import os
import shutil
import ssl
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from support.certificates import Authority
from support.nameserver import NameServer
from support.ports import Ports
from support.service import PATIENCE, wait_for

PEBBLE = shutil.which("pebble")
needs_pebble = pytest.mark.skipif(PEBBLE is None, reason="no pebble: apt-get install pebble")


class Pebble:
    """A running authority. It looks for challenges at these ports of 127.0.0.1, for all ``names``.

    ``environment``: ``PEBBLE_WFE_NONCEREJECT`` and others. Use as a context manager.
    """

    def __init__(
        self,
        folder: Path,
        http: int,
        tls: int,
        *names: str,
        binding: tuple[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        own = Authority(folder / "own")
        self.own = chain, key = own.issue("localhost")
        self.ca = own.file
        self._ports = Ports(2)
        port, management = self._ports
        self.directory = f"https://localhost:{port}/dir"
        self._management = f"https://localhost:{management}"
        self.records = {name: ["A 127.0.0.1"] for name in names}
        self.names = NameServer(self.records)
        settings: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{port}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(chain),
            "privateKey": str(key),
            "httpPort": http,
            "tlsPort": tls,
            "externalAccountBindingRequired": binding is not None,
            "externalAccountMACKeys": dict([binding] if binding else []),
        }
        self._config = folder / "pebble.json"
        self._config.write_text(json.dumps({"pebble": settings}))
        self.log = folder / "pebble.log"
        self._environment = {
            **os.environ,
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": "10",
            "PEBBLE_AUTHZREUSE": "0",
            **(environment or {}),
        }
        self._trusting = ssl.create_default_context(cafile=self.ca)

    def __enter__(self) -> Self:
        self.names.__enter__()
        self.start()
        return self

    def start(self) -> None:
        """Start it; all that it knew before is forgotten."""
        assert PEBBLE is not None
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [PEBBLE, "-config", self._config, "-strict", "-dnsserver", str(self.names.address)],
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, f"an answer of pebble: {self.log.read_text()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.names.__exit__()

    def stop(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait(PATIENCE)

    async def resolve(self, name: str) -> list[str]:
        """Return what the name server has of a name."""
        if name not in self.records:
            raise OSError(0, "no such name")
        return [line.split()[1] for line in self.records[name]]

    def root(self, path: Path) -> Path:
        """Write the certificate that what it issues is checked against."""
        path.write_bytes(self._get(f"{self._management}/roots/0"))
        return path

    @property
    def orders(self) -> int:
        """How many orders it was given since it was started first."""
        return self.told("Added order")

    def told(self, text: str) -> int:
        """Return how many lines of its log hold a text."""
        return sum(text in line for line in self.log.read_text().splitlines())

    def flags(self) -> tuple[str, ...]:
        """Return the flags of ``clicktrail serve`` that lead here."""
        return (
            *("--acme-email", "me@example.com", "--acme-directory", self.directory),
            *("--acme-tls-ca", str(self.ca), "--acme-resolver", str(self.names.address)),
        )

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Pass a request on, as a proxy would; return status, headers and body."""
        port = urllib.parse.urlsplit(self.directory).port
        connection = http.client.HTTPSConnection(
            "localhost", port, timeout=PATIENCE, context=self._trusting
        )
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _answers(self) -> bool | None:
        try:
            return bool(self._get(self.directory))
        except OSError:
            return None

    def _get(self, url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=PATIENCE, context=self._trusting) as answer:
            found: bytes = answer.read()
            return found
