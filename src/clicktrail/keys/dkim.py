"""DKIM keys: read, made, and as the DNS record that tells of them (RFC 6376)."""

import base64
import binascii
import re
import secrets

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from clicktrail.errors import InvalidInput

SIZE = 2048
SMALLEST, LARGEST = 1024, 4096
"""Bits. RFC 8301 § 3.2: signers use 1024 at least, and should use 2048."""

# RFC 6376 § 3.1: selector = sub-domain *( "." sub-domain ); a label of a DNS name.
_SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def check_selector(selector: str) -> str:
    """Return a selector, if it is one. Raises `InvalidInput`."""
    if not _SELECTOR.fullmatch(selector):
        raise InvalidInput(
            f"{selector!r} is not a DKIM selector: use 1 to 63 letters, digits and '-'"
        )
    return selector


def purpose(identity_name: str) -> str:
    """Return what the sealed key of an identity is for (`clicktrail.keys.vault`)."""
    return f"dkim {identity_name}"


def new_selector() -> str:
    """Return a selector that nobody has used."""
    return "ct" + base64.b32encode(secrets.token_bytes(5)).decode().lower()


def generate(size: int = SIZE) -> bytes:
    """Return a new private key (DER, PKCS #8)."""
    return _dump(rsa.generate_private_key(65537, size))


def read_private(text: bytes) -> bytes:
    """Return a private key as DER (PKCS #8).

    It is given as PEM, or as the base64 of its DER in one line (SES, ``DkimSigningAttributes``),
    PKCS #1 or PKCS #8. Raises `InvalidInput`.
    """
    try:
        if b"-----BEGIN" in text:
            key = serialization.load_pem_private_key(text, None)
        else:
            der = base64.b64decode(b"".join(text.split()), validate=True)
            key = serialization.load_der_private_key(der, None)
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
        raise InvalidInput(
            "this is not a private key: expected RSA without a password, as PEM or as base64"
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InvalidInput("this private key is not one of RSA, which all receivers can verify")
    if not SMALLEST <= key.key_size <= LARGEST:
        raise InvalidInput(
            f"this RSA key has {key.key_size} bits: use {SMALLEST} to {LARGEST}, best {SIZE}"
        )
    return _dump(key)


def load(private: bytes) -> rsa.RSAPrivateKey:
    """Return the key of its DER."""
    key = serialization.load_der_private_key(private, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def size_of(private: bytes) -> int:
    """Return the bits of a key."""
    return load(private).key_size


def dns_record(private: bytes) -> str:
    """Return the text of the TXT record at ``selector._domainkey.domain`` (RFC 6376 § 3.6.1)."""
    public = load(private).public_key()
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def _dump(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
