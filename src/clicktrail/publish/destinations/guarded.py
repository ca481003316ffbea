"""Connects to addresses that may be called, and to no others.

The name is resolved here and the connection made to the very address that was checked, so that a
name server cannot answer the check with one address and the connection with another.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpcore

from clicktrail.base.redact import reason_of
from clicktrail.errors import DeliveryFailed
from clicktrail.publish.destinations.guard import AddressGuard, IpAddress

_LOOKUPS_AT_ONCE = 16


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
            raise DeliveryFailed(
                f"the host name {host} cannot be resolved: {reason_of(error)}"
            ) from None

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str) -> list[IpAddress]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(entry[4][0]) for entry in found)
    return [ipaddress.ip_address(text) for text in texts]
