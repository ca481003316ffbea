"""Which addresses webhooks may call.

A webhook's URL comes from a user. Without a check it could reach what only this machine reaches:
services on loopback, the local network, a cloud's metadata.
"""

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv6 that holds an IPv4 address which a gateway may go on to: the prefix, and how many bits
# stand right of the IPv4 address.
_6TO4 = ipaddress.IPv6Network("2002::/16")  # RFC 3056 § 2
_HOLDERS = (
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052 § 2.1
    (_6TO4, 80),
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible, RFC 4291 § 2.5.5.1
)
# Not for the public, whatever the version of Python knows of them.
_NEVER_PUBLIC = (
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # NAT64 within a network, RFC 8215
    ipaddress.IPv6Network("2001::/32"),  # Teredo, RFC 4380
    ipaddress.IPv6Network("fec0::/10"),  # site-local, RFC 3879
)


class AddressGuard:
    """Decides on addresses. ``allowed`` networks may be called although they are not public."""

    def __init__(self, allowed: Iterable[Network]) -> None:
        self._allowed = tuple(allowed)

    def is_allowed(self, address: IpAddress) -> bool:
        """Return whether the address is in an allowed network (then also without TLS)."""
        return all(
            any(form.version == n.version and form in n for n in self._allowed)
            for form in _forms(address)
        )

    def is_callable(self, address: IpAddress) -> bool:
        """Return whether the address is public or in an allowed network."""
        return self.is_allowed(address) or all(_is_public(form) for form in _forms(address))


def _forms(address: IpAddress) -> tuple[IpAddress, ...]:
    """Return the addresses that a connection to this one may reach."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:  # RFC 4291 § 2.5.5.2: the system connects by IPv4
        return (address.ipv4_mapped,)
    plain = ipaddress.IPv6Address(int(address))  # without a scope (fe80::1%eth0)
    for network, shift in _HOLDERS:
        if plain in network and int(plain) > 1:  # :: and ::1 are themselves
            held = ipaddress.IPv4Address(int(plain) >> shift & 0xFFFFFFFF)
            return (plain, held) if network == _6TO4 else (held,)
    return (plain,)


def _is_public(address: IpAddress) -> bool:
    if address.version == 6 and address in _6TO4:
        return True  # the IPv4 address in it decides; versions of Python differ on the whole
    never = address.version == 6 and any(address in network for network in _NEVER_PUBLIC)
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not never and not special
