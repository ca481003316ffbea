"""Which addresses webhooks may call, checked on the address that is really connected to.

A webhook's URL comes from a user. Without a check it could reach what only this machine reaches:
services on loopback, the local network, a cloud's metadata. The name is resolved here and the
connection made to the very address that was checked, so that a name server cannot answer the
check with one address and the connection with another.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpcore

from clicktrail.errors import DeliveryFailed

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOKUPS_AT_ONCE = 16

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


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to callable addresses only; without TLS only to allowed networks."""

    def __init__(self, guard: AddressGuard, *, tls: bool) -> None:
        self._guard = guard
        self._tls = tls
        self._network = httpcore.AnyIOBackend()
        self._resolver = Resolver()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the backend's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to an address of the host. Raises `DeliveryFailed` where none may be called."""
        addresses = await self._resolver.addresses(host)
        may_call = self._guard.is_callable if self._tls else self._guard.is_allowed
        usable = [address for address in addresses if may_call(address)]
        if not usable:
            found = ", ".join(str(address) for address in addresses)
            raise DeliveryFailed(
                f"{host} ({found}) is not called: "
                + (
                    "addresses that are not public must be listed in webhook.allow"
                    if self._tls or not any(map(self._guard.is_callable, addresses))
                    else "without https only networks listed in webhook.allow are"
                )
            )
        error: Exception | None = None
        for address in usable:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
        assert error is not None
        raise error

    async def sleep(self, seconds: float) -> None:
        """See `httpcore.AsyncNetworkBackend.sleep`."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """End the threads that resolve names."""
        self._resolver.close()


class Resolver:
    """Resolves names in threads of its own; a name is looked up once for all that wait for it.

    So a name server that does not answer for one host leaves threads for the others.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, "webhook-names")
        self._asked: dict[str, asyncio.Future[list[IpAddress]]] = {}

    async def addresses(self, host: str) -> Sequence[IpAddress]:
        """Return the host's addresses. Raises `DeliveryFailed` where it has none."""
        try:
            return [ipaddress.ip_address(host.strip("[]"))]
        except ValueError:
            pass
        asked = self._asked.get(host)
        if asked is None:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host)
            self._asked[host] = asked
            asked.add_done_callback(lambda _: self._asked.pop(host, None))
        try:
            return await asyncio.shield(asked)
        except (OSError, UnicodeError) as error:
            raise DeliveryFailed(f"the host name {host} cannot be resolved: {error}") from None

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str) -> list[IpAddress]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(entry[4][0]) for entry in found)
    return [ipaddress.ip_address(text) for text in texts]


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
