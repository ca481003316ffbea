"""DKIM signatures (RFC 6376) on what goes out: made last, so that rewriting breaks none.

Canonical forms of headers are dkimpy's; the RSA operation is that of the library ``cryptography``,
which needs a twentieth of the time.
"""

import re
from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from typing import Any

import dkim
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from dkim.canonicalization import CanonicalizationPolicy

from clicktrail.base.ids import now_us
from clicktrail.errors import ClicktrailError
from clicktrail.headers.fields import FIELD, first_field
from clicktrail.keys.dkim import load, purpose
from clicktrail.keys.vault import Vault
from clicktrail.model import Dkim, Identity

# RFC 6376 § 5.4.1, and the headers by which people unsubscribe (RFC 8058 § 4).
SIGNED = (
    b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to", b"sender",
    b"in-reply-to", b"references", b"mime-version", b"content-type", b"content-transfer-encoding",
    b"list-id", b"list-unsubscribe", b"list-unsubscribe-post",
)  # fmt: skip

OVERSIGNED = (b"from", b"to", b"cc", b"subject", b"date", b"reply-to", b"content-type")
"""Named once more than they are there, so that nobody can add another (RFC 6376 § 8.15)."""

_RELAXED: Any = CanonicalizationPolicy.from_c_value(b"relaxed/relaxed")


_LINE_END = re.compile(rb"\r?\n")
_SPACE = re.compile(rb"[ \t]+")


class NotSignable(ClicktrailError):
    """The email's header is malformed, so that no signature of it could be verified."""


class Signer:
    """Signs for identities. ``vault`` opens their keys."""

    def __init__(self, vault: Vault) -> None:
        self._open = lru_cache(256)(lambda sealed, name: load(vault.open(sealed, purpose(name))))

    def signature(self, message: bytes, identity: Identity, key: Dkim) -> bytes:
        """Return the ``DKIM-Signature`` header, with its CRLF, that goes on top of a message.

        Raises `NotSignable`, and `InvalidInput` where the key cannot be opened.
        """
        private: rsa.RSAPrivateKey = self._open(key.sealed, identity.name)
        headers, body = _parsed(message)
        digest = b64encode(sha256(_relaxed_body(message, body)).digest())
        names = _names([name.lower() for name, _ in headers])
        fields = [
            (b"v", b"1"),
            (b"a", b"rsa-sha256"),
            (b"c", b"relaxed/relaxed"),
            (b"d", identity.domain.encode()),
            (b"s", key.selector.encode()),
            (b"t", str(now_us() // 1_000_000).encode()),
            (b"h", b":".join(names)),
            (b"bh", digest),
            (b"b", b""),
        ]
        value = b" " + b"; ".join(b"=".join(field) for field in fields)
        hasher = sha256()
        # RFC 6376 § 3.7: the signature's own header comes last, without its signature.
        dkim.hash_headers(
            hasher,
            _RELAXED,
            _RELAXED.canonicalize_headers(headers),
            names,
            (b"DKIM-Signature", value),
            dict(fields),
        )
        signed = private.sign(hasher.digest(), padding.PKCS1v15(), Prehashed(hashes.SHA256()))
        return b"DKIM-Signature:" + _folded(value, b64encode(signed)) + b"\r\n"


def _parsed(message: bytes) -> tuple[list[tuple[bytes, bytes]], int]:
    """Return the fields of a message, and where its body begins. Raises `NotSignable`."""
    headers: list[tuple[bytes, bytes]] = []
    at = first_field(message)
    while found := FIELD.match(message, at):
        headers.append((found[1], found[2] + b"\r\n"))
        at = found.end()
    blank = _LINE_END.match(message, at)
    if blank is None and at < len(message):
        raise NotSignable("the header is malformed: not signed with DKIM")
    return headers, blank.end() if blank else at


def _relaxed_body(message: bytes, start: int) -> bytes:
    """Return a body in relaxed canonical form (RFC 6376 § 3.4.4).

    dkimpy does the same, but takes time that grows with the square of a run of white space.
    """
    body = _LINE_END.sub(b"\r\n", message[start:])
    body = _SPACE.sub(b" ", body).replace(b" \r\n", b"\r\n")
    end = len(body)
    while body.endswith(b"\r\n", 0, end):
        end -= 2
    return body[:end] + b"\r\n" if end else b""


def _names(present: list[bytes]) -> tuple[bytes, ...]:
    """Return what to sign, in the order of `SIGNED`, each as often as it is there."""
    return tuple(name for name in SIGNED for _ in range(present.count(name) + (name in OVERSIGNED)))


def _folded(value: bytes, signature: bytes) -> bytes:
    """Return the header's value in lines of at most 78 characters, where white space may be.

    Relaxed canonical form (RFC 6376 § 3.4.2) makes one space of folds between tags; those within
    ``h=``, ``bh=`` and ``b=`` would be spaces that were not there when it was hashed, so only
    ``b=``, which is hashed empty, is folded within.
    """
    lines, line = [], b""
    for tag in value.strip().split(b"; "):
        if line and len(line) + len(tag) > 74:
            lines.append(line + b";")
            line = tag
        else:
            line = line + b"; " + tag if line else tag
    pieces = [signature[at : at + 74] for at in range(0, len(signature), 74)]
    return b" " + b"\r\n ".join([*lines, line, *pieces])
