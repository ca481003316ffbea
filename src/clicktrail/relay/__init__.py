"""The way out: hands accepted emails to the smarthost. Nothing is queued here."""

from urllib.parse import urlsplit

from clicktrail.errors import SettingError
from clicktrail.kinds import Address
from clicktrail.relay.connection import Login, Tls
from clicktrail.relay.maildir import MaildirSmarthost
from clicktrail.relay.smarthost import SmtpSmarthost
from clicktrail.settings import Settings


def open_smarthost(settings: Settings) -> SmtpSmarthost | MaildirSmarthost:
    """Return the smarthost of ``smarthost.url``; it is reached with the first email.

    Raises `SettingError` for a URL that cannot be used.
    """
    url = settings.text("smarthost.url").strip()
    if not url:
        raise SettingError(
            "smarthost.url is empty: give your mail server (--smarthost smtp://host:port)"
        )
    if url.startswith("maildir:"):
        return MaildirSmarthost(url.removeprefix("maildir:"))
    scheme, address = _parse(url)
    login = Login(
        address,
        tls=_tls(scheme, settings["smarthost.tls"]),
        username=settings["smarthost.username"],
        password=settings["smarthost.password"],
        hostname=settings.hostname,
        timeout=settings["smarthost.timeout"],
    )
    return SmtpSmarthost(
        login,
        verify=settings["smarthost.verify"] == "yes",
        connections=settings["smarthost.connections"],
    )


def _parse(url: str) -> tuple[str, Address]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        usable = bool(host) and not parts.path.strip("/") and not parts.query and "@" not in url
    except ValueError:
        usable = False
    if not usable or not host:
        raise SettingError(
            f"smarthost.url = {url!r} cannot be used: expected smtp://host:port or"
            " smtps://host:port (user name and password have settings of their own)"
        )
    # RFC 5321 § 4.5.4.2 (25); RFC 8314 § 7.3 (465)
    return parts.scheme, Address(host, port or (465 if parts.scheme == "smtps" else 25))


def _tls(scheme: str, starttls: str) -> Tls:
    if scheme == "smtps":
        return Tls.FROM_THE_START
    return {"if-offered": Tls.IF_OFFERED, "required": Tls.REQUIRED, "never": Tls.NEVER}[starttls]
