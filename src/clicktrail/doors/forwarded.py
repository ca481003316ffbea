"""Who a client is: the address behind proxies that are trusted, and the network it belongs to."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from clicktrail.settings.kinds import Network

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Headers(Protocol):
    """The headers of a request, and who sent them."""

    @property
    def peer(self) -> str:
        """The IP address at the other end of the connection."""

    def headers(self, name: bytes) -> list[bytes]:
        """Return all headers of that lower-case name, in their order."""
        ...


class ScopeHeaders:
    """The `Headers` of an ASGI scope."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.peer: str = scope["client"][0] if scope.get("client") else ""
        self._headers = scope["headers"]

    def headers(self, name: bytes) -> list[bytes]:
        """See `Headers.headers`."""
        return [value for other, value in self._headers if other == name]


class Visitors:
    """Tells the address of a client. Only ``trusted`` proxies are believed about others."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        self.trusts = lru_cache(4096)(self._is_trusted)
        """Whether an address is a trusted proxy's."""

    def address(self, headers: Headers) -> str:
        """Return the client's IP address, as a text.

        With an untrusted peer it is the peer's. With a trusted one, the right-most address that is
        not a trusted proxy's in ``X-Forwarded-For`` or ``Forwarded`` (RFC 7239): all to the left of
        it is hearsay. Where the two headers differ, one of them may be the client's invention, and
        the peer's address is the one that is known.
        """
        host = headers.peer
        if not self._trusted or not self.trusts(host):
            return host
        found = {
            self._first_untrusted(host, entries)
            for entries in (
                _split(_all(headers, b"x-forwarded-for")),
                _forwarded_for(_all(headers, b"forwarded")),
            )
            if entries
        }
        return found.pop() if len(found) == 1 else host

    def _first_untrusted(self, peer: str, entries: Sequence[str]) -> str:
        nearest = peer
        for entry in reversed(entries):
            address = _parse(entry)
            if address is None:  # "unknown", obfuscated (RFC 7239 § 6.3), or garbage
                break
            # A zone (RFC 4007 § 11) may hold anything, and says nothing elsewhere.
            nearest = str(address).partition("%")[0]
            if not self.trusts(nearest):
                break
        return nearest

    def _is_trusted(self, host: str) -> bool:
        address = _parse(host)
        return address is not None and any(address in network for network in self._trusted)


def peer_address(host: str) -> str:
    """Return the peer's address as it is logged: IPv4 in IPv6 clothes is IPv4."""
    address = _parse(host) if ":" in host else None
    return host if address is None else str(address)


def _all(headers: Headers, name: bytes) -> str:
    # RFC 9110 § 5.3: several lines are one list.
    return b",".join(headers.headers(name)).decode("latin-1")


def _parse(text: str) -> _Address | None:
    """Return the address of ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1``, ``[2001:db8::1]:80``.

    An IPv4 address in IPv6 clothes (``::ffff:192.0.2.1``) is the IPv4 address.
    """
    match = _WITH_PORT.fullmatch(text)
    if match:
        text = match[1] or match[2]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


# RFC 7239 § 6: node = nodename [ ":" node-port ]; a port may be obfuscated ("_" …) too.
_WITH_PORT = re.compile(r"(?:([0-9.]+):[\w.-]+|\[([0-9A-Fa-f:.%\w]+)\](?::[\w.-]+)?)")


def _split(value: str) -> list[str]:
    return [entry.strip() for entry in value.split(",")] if value else []


def _forwarded_for(value: str) -> list[str]:
    """Return the ``for`` of each element of ``Forwarded``; ``""`` where it has none.

    RFC 7239 § 4: ``Forwarded = 1#forwarded-element``, pairs separated by ``;``.
    """
    entries = []
    for element in _cut(value, ",") if value else ():
        pairs = (pair.partition("=") for pair in _cut(element, ";"))
        nodes = [_unquote(node.strip()) for name, _, node in pairs if name.strip().lower() == "for"]
        entries.append(nodes[0] if len(nodes) == 1 else "")  # § 4: not more than once
    return entries


def _cut(value: str, separator: str) -> list[str]:
    """Split outside of quoted strings (RFC 9110 § 5.6.4)."""
    parts, start, quoted, escaped = [], 0, False, False
    for at, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(value[start:at])
            start = at + 1
    parts.append(value[start:])
    return parts


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value.strip()


@lru_cache(4096)
def network_of(host: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 that one IPv6 network has.

    RFC 4291 § 2.5.4: the last 64 bits are a client's own to choose.
    """
    address = _parse(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address), 64), strict=False))
    return host if address is None else str(address)
