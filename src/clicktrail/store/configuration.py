"""The whole configuration at one moment, and which identity in it sends for an address."""

from dataclasses import dataclass, field
from types import MappingProxyType

from clicktrail.base.hostname import a_labels
from clicktrail.model import ConfigurationSet, Identity


@dataclass(frozen=True)
class Configuration:
    """All configuration sets and identities at one moment, by name."""

    version: int = -1
    sets: MappingProxyType[str, ConfigurationSet] = field(
        default_factory=lambda: MappingProxyType({})
    )
    identities: MappingProxyType[str, Identity] = field(
        default_factory=lambda: MappingProxyType({})
    )
    account: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Options of the account, as JSON, by SES's names (``SuppressionAttributes``)."""
    suppresses: bool = False
    """Whether anybody is on the suppression list."""
    spares: bool = False
    """Whether anybody is not to be tracked."""

    def identity_for(self, address: str) -> Identity | None:
        """Return the identity that sends for an address.

        The most specific wins, as in SES ("Creating and verifying identities"): the address
        itself, then its domain, then the parents of that domain, since a domain identity stands
        for its subdomains too. Domains match in any letter case, local parts exactly
        (RFC 5321 § 2.4).
        """
        if not self.identities:
            return None
        local, at, domain = address.strip("<> \t").rpartition("@")
        domain = a_labels(domain)
        if at and (exact := self.identities.get(f"{local}@{domain}")):
            return exact
        while at and domain:
            if found := self.identities.get(domain):
                return found
            domain = domain.partition(".")[2]
        return None
