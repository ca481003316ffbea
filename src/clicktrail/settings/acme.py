"""The settings of certificates that come by themselves (ACME, RFC 8555)."""

from typing import Any

from clicktrail.settings.kinds import (
    FILE,
    LISTEN_OR_NONE,
    TEXT,
    Kind,
    Setting,
    choice,
)
from clicktrail.settings.urls import UrlUnusable, read_url

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"

_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="


def _email(text: str) -> str:
    # RFC 8555 § 7.3: one address, as in a mailto URL, without its query.
    local, at, domain = text.rpartition("@")
    is_plain = text.isascii() and text.isprintable() and not set(text) & set(' ,?&"<>')
    if text and not (local and at and domain and is_plain):
        raise ValueError
    return text


def _directory(text: str) -> str:
    if not all(host for host, _ in read_url(text, ("https",)).hosts):  # RFC 8555 § 6.1
        raise UrlUnusable("it names no host")
    return text


def _mac_key(text: str) -> str:
    if not set(text) <= set(_BASE64URL):
        raise ValueError
    return text


ACME_SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        "acme.email",
        Kind("an email address, or nothing", _email),
        "",
        "Certificates for redirect.tls_listen come by themselves: your address, for the certificate"
        " authority, whose terms of service you agree to with it (acme.directory; those of Let's"
        " Encrypt: https://letsencrypt.org/repository/). Needs 'clicktrail[acme]'.",
    ),
    Setting(
        "acme.directory",
        Kind("an https:// URL", _directory),
        LETS_ENCRYPT,
        "URL of the certificate authority's ACME directory; Let's Encrypt's if not given.",
    ),
    Setting(
        "acme.tls_ca",
        FILE,
        "",
        "PEM file with the authorities that the directory's own certificate is checked against; the"
        " usual ones if empty.",
    ),
    Setting(
        "acme.eab_key_id",
        TEXT,
        "",
        "Key identifier of the external account binding, where the authority wants one.",
    ),
    Setting(
        "acme.eab_mac_key",
        Kind("base64url", _mac_key),
        "",
        "MAC key of the external account binding, in base64url.",
        secret=True,
    ),
    Setting(
        "acme.key_type",
        choice("ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096"),
        "ecdsa-p256",
        "Kind of the certificates' keys.",
    ),
    Setting(
        "acme.challenge",
        choice("auto", "tls-alpn-01", "http-01"),
        "auto",
        "How the authority sees that a domain leads here: at port 443 (tls-alpn-01) or at port 80"
        " (http-01); auto: the first that works.",
    ),
    Setting(
        "acme.check",
        choice("yes", "no"),
        "yes",
        "Whether Clicktrail sees for itself that a domain leads here before the authority is asked;"
        " no where this machine cannot reach its own public address.",
    ),
    Setting(
        "acme.resolver",
        LISTEN_OR_NONE,
        "",
        "Name server (address:port) that is asked for a domain's addresses before a certificate is"
        " ordered; this machine's if empty.",
    ),
)
