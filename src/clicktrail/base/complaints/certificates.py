"""Loads certificates with their keys, and says what is wrong with them: never by asking anybody."""

import ssl
from pathlib import Path
from typing import NoReturn

from clicktrail.base.complaints import complaint
from clicktrail.errors import ClicktrailError

CERTIFICATE, KEY = "a PEM file with a certificate", "a PEM file with a private key"
_MARKS = {CERTIFICATE: b"CERTIFICATE-----", KEY: b"PRIVATE KEY-----"}


class CertificateUnusable(ClicktrailError):
    """A certificate, or its key, that cannot be used: in which file, and why."""

    def __init__(self, path: Path, why: str, *, is_key: bool) -> None:
        super().__init__(f"{path} cannot be used: {why}")
        self.path = path
        self.why = why
        self.is_key = is_key


def load_pair(context: ssl.SSLContext, chain: Path, key: Path) -> bytes:
    """Load a certificate chain and its key (PEM) into a context; return what the chain's file held.

    Raises `CertificateUnusable`; then the context may have neither, nor what it had before.
    """
    certificates = _read(chain, CERTIFICATE)
    if b"ENCRYPTED" in _read(key, KEY):
        raise _encrypted(key)

    def refuse() -> NoReturn:
        # Without this, OpenSSL asks on the terminal, and nobody is there: also for a key that was
        # exchanged since we looked.
        raise _encrypted(key)

    try:
        context.load_cert_chain(chain, key, password=refuse)
    except ssl.SSLError as error:
        raise _unusable(chain, key, certificates, error.reason) from None
    except OSError as error:
        raise CertificateUnusable(key, complaint(error, key), is_key=True) from None
    return certificates


def load_authorities(context: ssl.SSLContext, path: Path) -> None:
    """Load the authorities (PEM) that others' certificates are checked against.

    Raises `CertificateUnusable`.
    """
    _read(path, CERTIFICATE)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise CertificateUnusable(path, "a certificate in it is damaged", is_key=False) from None


def _read(path: Path, expected: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CertificateUnusable(path, complaint(error, path), is_key=expected == KEY) from None
    if _MARKS[expected] not in content:
        held = "a private key" if _MARKS[KEY] in content else "something else"
        if b"-----BEGIN CERTIFICATE-----" in content:
            held = "a certificate"
        why = f"expected {expected}, it holds {held}"
        raise CertificateUnusable(path, why, is_key=expected == KEY)
    return content


def _encrypted(key: Path) -> CertificateUnusable:
    return CertificateUnusable(
        key,
        "its key is encrypted, and nobody is there to ask for the pass phrase: `openssl pkey"
        f" -in {key} -out NEW` writes it without",
        is_key=True,
    )


def _unusable(
    chain: Path, key: Path, certificates: bytes, reason: str | None
) -> CertificateUnusable:
    from cryptography import x509  # noqa: PLC0415 - only to say what is wrong

    if reason == "KEY_VALUES_MISMATCH":
        why = (
            f"it is not the key of the certificate in {chain}, the first of which must be its own,"
            " and not an authority's"
        )
        return CertificateUnusable(key, why, is_key=True)
    try:
        x509.load_pem_x509_certificates(certificates)
    except ValueError:
        return CertificateUnusable(chain, "its certificate is damaged", is_key=False)
    if reason and ("TOO_SMALL" in reason or "TOO_WEAK" in reason):
        return CertificateUnusable(chain, f"OpenSSL finds it too weak ({reason})", is_key=False)
    why = f"its key is damaged, or of an unknown kind ({reason or 'OpenSSL'})"
    return CertificateUnusable(key, why, is_key=True)
