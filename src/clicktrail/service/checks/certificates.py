"""Sees that certificates and their keys can be used: loaded where there is one."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from clicktrail.base.complaints.certificates import CertificateUnusable, load_authorities, load_pair
from clicktrail.base.logs import get_logger
from clicktrail.errors import SettingError
from clicktrail.settings.settings import Settings

log = get_logger(__name__)


def check(settings: Settings, owner: str) -> None:
    """See `checks.check_certificate`."""
    chain, key = f"{owner}.tls_certificate", f"{owner}.tls_key"
    try:
        certificates = load_pair(
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), settings[chain], settings[key]
        )
    except CertificateUnusable as error:
        raise _refusal(settings, key if error.is_key else chain, error) from None
    try:
        own = x509.load_pem_x509_certificate(certificates)
    except ValueError:
        return  # OpenSSL takes it
    now, path = datetime.now(UTC), str(settings[chain])
    if own.not_valid_after_utc < now:
        until = f"{own.not_valid_after_utc:%Y-%m-%d}"
        log.warning("certificate has expired: renew it", setting=chain, path=path, until=until)
    elif own.not_valid_before_utc > now:
        since = f"{own.not_valid_before_utc:%Y-%m-%d}"
        log.warning("certificate is not valid yet", setting=chain, path=path, since=since)


def ends_at(path: str) -> datetime | None:
    """Return when a certificate ends; ``None`` where it cannot be read, which is told at start."""
    try:
        return x509.load_pem_x509_certificate(Path(path).read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None


def check_ca(settings: Settings, name: str) -> None:
    """See `checks.check_authorities`."""
    try:
        load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), settings[name])
    except CertificateUnusable as error:
        raise _refusal(settings, name, error) from None


def _refusal(settings: Settings, name: str, error: CertificateUnusable) -> SettingError:
    return SettingError(
        f"{name} = {str(settings[name])!r} (from {settings.source(name)}) cannot be used:"
        f" {error.why}"
    )
