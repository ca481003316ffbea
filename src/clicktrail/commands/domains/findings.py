"""What a check looks at, and what it has found."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How good what was found is. Only `FAILED` means that something cannot be used."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILED = "failed"


Said = tuple[Status, str]
"""How good it is, and in words."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, in words. ``address`` is the IP address that it is about."""

    check: str
    """``use``, ``order``, ``name``, ``caa``, ``hsts``, ``certificate``, ``http`` or ``https``."""
    status: Status
    text: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Door:
    """One address of a domain, by one scheme. ``seconds``: how long each step may take."""

    name: str
    scheme: str
    address: str
    port: int
    seconds: float

    @property
    def host(self) -> str:
        """The ``Host`` that a browser names (RFC 9110 § 7.2)."""
        usual = {"http": 80, "https": 443}[self.scheme]
        return self.name if self.port == usual else f"{self.name}:{self.port}"
