"""How the milter door behaves."""

from dataclasses import dataclass

from clicktrail.settings.kinds import Address, Network, SocketPath
from clicktrail.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class MilterOptions:
    """How the milter door behaves; see the settings ``milter.*``."""

    listen: Address | SocketPath
    allow: tuple[Network, ...] = ()
    senders: tuple[Network, ...] = ()
    identities_exempt: tuple[Network, ...] = ()
    pass_without_store: bool = False
    max_size: int = 10 * 1024 * 1024
    max_connections: int = 1000
    timeout: float = 7200.0
    memory: int = 256 * 1024 * 1024
    shared: bool = False
    """Other processes listen there too."""

    @classmethod
    def of(cls, settings: Settings) -> "MilterOptions":
        """Return the options that the settings give."""
        workers = settings.workers("milter")  # what all may take, they share
        return cls(
            listen=settings["milter.listen"],
            allow=settings["milter.allow"],
            senders=settings["milter.senders"],
            identities_exempt=settings["identities.exempt"],
            pass_without_store=settings["milter.store_away"] == "accept",
            max_size=settings["smtp.max_size"],
            max_connections=-(-settings["milter.max_connections"] // workers),
            timeout=settings["milter.timeout"],
            memory=settings["milter.memory"] // workers,
            shared=workers > 1,
        )
