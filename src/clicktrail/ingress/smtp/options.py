"""How the SMTP door behaves."""

from dataclasses import dataclass
from pathlib import Path

from clicktrail.settings.kinds import Address, Network
from clicktrail.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """How the SMTP door behaves; see the settings ``smtp.*``."""

    listen: Address
    hostname: str
    allow: tuple[Network, ...] = ()
    max_size: int = 10 * 1024 * 1024
    max_connections: int = 1000
    max_per_address: int = 50
    timeout: float = 300.0
    first_timeout: float = 30.0
    memory: int = 256 * 1024 * 1024
    max_recipients: int = 1000
    trusted_proxies: tuple[Network, ...] = ()
    tls_listen: Address | None = None
    shared: bool = False
    """Whether other processes listen at the same place (``SO_REUSEPORT``)."""
    identities_exempt: tuple[Network, ...] = ()
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> "SmtpOptions":
        """Return the options that the settings give."""
        workers = settings.workers("smtp")  # what all may take, they share
        return cls(
            listen=settings["smtp.listen"],
            hostname=settings.hostname,
            allow=settings["smtp.allow"],
            max_size=settings["smtp.max_size"],
            max_connections=-(-settings["smtp.max_connections"] // workers),
            max_per_address=settings["smtp.max_per_address"],
            timeout=settings["smtp.timeout"],
            first_timeout=settings["smtp.first_timeout"],
            memory=settings["smtp.memory"] // workers,
            shared=workers > 1,
            max_recipients=settings["smtp.max_recipients"],
            trusted_proxies=settings["smtp.trusted_proxies"],
            tls_listen=settings["smtp.tls_listen"] or None,
            identities_exempt=settings["identities.exempt"],
            certificate=settings["smtp.tls_certificate"],
            key=settings["smtp.tls_key"],
        )
