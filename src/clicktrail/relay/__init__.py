"""The way out: hands accepted emails to the smarthost. Nothing is queued here."""

from pathlib import Path

from clicktrail.base.faults import Faults
from clicktrail.base.metrics import Metrics
from clicktrail.errors import SettingError
from clicktrail.relay.connection import Login, Patience, Tls
from clicktrail.relay.maildir import MaildirSmarthost
from clicktrail.relay.smarthost import SmtpSmarthost
from clicktrail.settings.kinds import Address, smarthost_url
from clicktrail.settings.settings import Settings


def open_smarthost(
    settings: Settings, faults: Faults | None = None, metrics: Metrics | None = None
) -> SmtpSmarthost | MaildirSmarthost:
    """Return the smarthost of ``smarthost.url``; it is reached with the first email.

    ``faults`` gets to know when it takes no email from us, ``metrics`` when it is crowded.

    Raises `SettingError` for a URL that cannot be used.
    """
    place = smarthost_place(settings)
    if isinstance(place, Path):
        return MaildirSmarthost(place)
    login = Login(
        place,
        tls=_tls(settings["smarthost.url"].partition(":")[0], settings["smarthost.tls"]),
        username=settings["smarthost.username"],
        password=settings["smarthost.password"],
        hostname=settings.hostname,
        patience=Patience(
            connect=settings["smarthost.connect_timeout"],
            command=settings["smarthost.timeout"],
            data=settings["smarthost.data_timeout"],
            block=settings["smarthost.block_timeout"],
            final=settings["smarthost.final_timeout"],
        ),
    )
    return SmtpSmarthost(
        login,
        verify=settings["smarthost.verify"] == "yes",
        authorities=settings["smarthost.tls_ca"],
        connections=settings["smarthost.connections"],
        faults=faults,
        metrics=metrics,
    )


def smarthost_place(settings: Settings) -> Address | Path:
    """Return where the mail server is, or the maildir. Raises `SettingError`."""
    url = settings["smarthost.url"]
    if not url:
        raise SettingError(
            "smarthost.url is empty: give your mail server (--smarthost smtp://host:port)"
        )
    if not url.startswith("maildir:"):
        return _address(url)
    return Path(url.removeprefix("maildir:"))


def _address(text: str) -> Address:
    url = smarthost_url(text)
    [(host, port)] = url.hosts
    # RFC 5321 § 4.5.4.2 (25); RFC 8314 § 7.3 (465)
    return Address(host, port or (465 if url.scheme == "smtps" else 25))


def _tls(scheme: str, starttls: str) -> Tls:
    if scheme == "smtps":
        return Tls.FROM_THE_START
    return {"if-offered": Tls.IF_OFFERED, "required": Tls.REQUIRED, "never": Tls.NEVER}[starttls]
