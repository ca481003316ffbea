"""Looks at the certificate that a server shows for a name, and says what is wrong with it."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from clicktrail.commands.domains.findings import Door, Said, Status

SOON = timedelta(days=14)
"""A certificate that ends within that time should have been renewed already."""

# OpenSSL, X509_STORE_CTX_get_error(3): X509_V_ERR_…
_SELF_SIGNED = (18, 19)
_NO_ISSUER = (2, 20, 21)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


class NoTls(Exception):
    """There is no certificate to look at; says why."""


async def look_at_certificate(door: Door, authorities: Path | None = None) -> Said:
    """Say what the certificate that is shown for a name is worth.

    ``authorities`` is a PEM file with certificates that are trusted too. Raises `NoTls`, and
    `OSError` or `ssl.SSLError` where that file cannot be read.
    """
    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(authorities)
    try:
        shown = await _shown(door, context)
    except ssl.SSLCertVerificationError as error:
        return Status.FAILED, await _why(door, error)
    except TimeoutError:
        raise NoTls(
            f"no TLS handshake within {door.seconds:g} seconds: does port {door.port} speak TLS?"
        ) from None
    except ssl.SSLError as error:
        if error.reason in _NO_TLS:
            raise NoTls(f"port {door.port} does not speak TLS") from None
        raise NoTls(
            f"the TLS handshake fails ({error.reason or error}): has the server a certificate for"
            " this name?"
        ) from None
    except OSError as error:
        raise NoTls(f"the TLS handshake fails: {error.strerror or 'the server hangs up'}") from None
    left = shown.not_valid_after_utc - datetime.now(UTC)
    text = f"valid until {shown.not_valid_after_utc:%Y-%m-%d}, from {_issuer(shown)}"
    if left < SOON:
        return Status.WARNING, f"{text}: {left.days} days are left, is it renewed by itself?"
    return Status.OK, text


async def _why(door: Door, error: ssl.SSLCertVerificationError) -> str:
    """Say why a certificate is not believed: all that is wrong, not only the first thing."""
    try:
        shown = await _shown(door, trusting())
    except (OSError, ValueError):
        return f"not valid: {error.verify_message}"
    now = datetime.now(UTC)
    wrong = []
    if now > shown.not_valid_after_utc:
        wrong.append(f"it expired on {shown.not_valid_after_utc:%Y-%m-%d}")
    if now < shown.not_valid_before_utc:
        wrong.append(f"it is not valid before {shown.not_valid_before_utc:%Y-%m-%d}")
    names = _names(shown)
    if not any(_matches(door.name, each) for each in names):
        wrong.append(f"it is for {', '.join(names) or 'no name'}, not for {door.name}")
    if error.verify_code in _SELF_SIGNED:
        wrong.append("it, or its authority, is signed by itself: browsers do not know it")
    if error.verify_code in _NO_ISSUER:
        wrong.append(
            f"{_issuer(shown)}, which issued it, is not known: is the chain complete, with the"
            " certificates in between?"
        )
    return f"not valid: {'; '.join(wrong) or error.verify_message}"


async def _shown(door: Door, context: ssl.SSLContext) -> x509.Certificate:
    """Return the certificate that is shown. Raises what the handshake raises."""
    async with asyncio.timeout(door.seconds):
        _, writer = await asyncio.open_connection(
            door.address, door.port, ssl=context, server_hostname=door.name
        )
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return x509.load_der_x509_certificate(der)


def trusting() -> ssl.SSLContext:
    """Return a context that believes every certificate: to look at it, or at what is behind it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _names(shown: x509.Certificate) -> list[str]:
    try:
        found = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    names = found.get_values_for_type(x509.DNSName)
    return [*names, *map(str, found.get_values_for_type(x509.IPAddress))]


def _matches(name: str, pattern: str) -> bool:
    """Whether a name is that of a certificate (RFC 6125 § 6.4.3: "*" is the whole first label)."""
    pattern = pattern.lower()
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return name == pattern


def _issuer(shown: x509.Certificate) -> str:
    for oid in (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME):
        for attribute in shown.issuer.get_attributes_for_oid(oid):
            return str(attribute.value)
    return "an issuer without a name"
