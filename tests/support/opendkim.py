"""A real OpenDKIM, which signs what a mail server shows it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from support.ports import Ports
from support.service import wait_for

NEEDS_OPENDKIM = pytest.mark.skipif(
    shutil.which("opendkim") is None,
    reason="NOT TESTED: no OpenDKIM here (apt-get install opendkim)",
)
_SETTINGS = """\
Background no
Canonicalization relaxed/relaxed
Domain {domain}
InternalHosts 127.0.0.0/8
KeyFile {key}
Mode s
PidFile {folder}/opendkim.pid
RequireSafeKeys no
Selector other
Socket inet:{port}@127.0.0.1
Syslog no
UserID root
"""


@contextmanager
def opendkim(folder: Path, domain: str, private: bytes) -> Iterator[int]:
    """Run OpenDKIM with a private key (DER) and the selector ``other``; yield its port."""
    ports = Ports(1)
    (port,) = ports
    key = folder / "opendkim.pem"
    pem = load_der_private_key(private, None).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    key.write_bytes(pem)
    file = folder / "opendkim.conf"
    file.write_text(_SETTINGS.format(domain=domain, key=key, folder=folder, port=port))
    with subprocess.Popen(["opendkim", "-x", str(file), "-f"]) as running:

        def listens() -> bool | None:
            assert running.poll() is None, "it has ended"
            with suppress(OSError), create_connection(("127.0.0.1", port)):
                return True
            return None

        try:
            wait_for(listens, "an OpenDKIM that listens")
            yield port
        finally:
            running.terminate()
            running.wait(30)
