"""Webhooks: POST of the JSON, signed as Standard Webhooks says (standardwebhooks.com).

The receiver verifies ``webhook-signature`` over ``webhook-id`` (the ``eventId``),
``webhook-timestamp`` and the body; a repeat has the same ``webhook-id``.
"""

import ssl
from collections.abc import Iterable
from datetime import UTC, datetime

import httpcore
from standardwebhooks import Webhook

from clicktrail import __version__
from clicktrail.base.arn import Arn
from clicktrail.base.redact import name_and_reason
from clicktrail.errors import DeliveryFailed, InvalidInput
from clicktrail.publish.destinations.guard import AddressGuard, Network
from clicktrail.publish.destinations.guarded import GuardedNetwork

RESPONSE_LIMIT = 64 * 1024
"""Bytes of an answer's body that are read; it is not used."""

_IDLE_CONNECTIONS = 64
_IDLE_SECONDS = 15.0


def signer_of(secret: str) -> Webhook:
    """Return what signs with a secret. Raises `InvalidInput` for one that is none."""
    try:
        return Webhook(secret)
    except Exception:  # the library raises whatever base64 raises
        raise InvalidInput("it is no signing secret: expected whsec_ and base64") from None


class WebhookDestination:
    """Calls webhooks. Redirects are not followed, proxies of the environment not used.

    ``secret`` is a signing secret (``whsec_…``), ``timeout`` seconds for each step of a call,
    ``allowed`` the networks that are not public and may be called all the same, also without TLS.
    Raises `InvalidInput` for a secret that is none.
    """

    def __init__(
        self,
        secret: str,
        timeout: float = 10.0,
        allowed: Iterable[Network] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._signer = signer_of(secret)
        guard = AddressGuard(allowed)
        self._timeout = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        self._networks = {
            b"https": GuardedNetwork(guard, tls=True),
            b"http": GuardedNetwork(guard, tls=False),
        }
        self._tls = tls
        self._pools: dict[bytes, httpcore.AsyncConnectionPool] = {}

    async def send(self, arn: Arn, event_id: str, payload: bytes) -> None:
        """See `Destination.send`. Only an answer of 2xx is a success."""
        url = httpcore.URL(arn.name)
        now = datetime.now(UTC)
        signature = self._signer.sign(event_id, now, payload.decode())
        headers: dict[bytes | str, bytes | str] = {
            "Host": _host(url),
            "Content-Type": "application/json",
            "Content-Length": str(len(payload)),
            "User-Agent": f"clicktrail/{__version__}",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        try:
            async with self._pool(url.scheme).stream(
                "POST", url, headers=headers, content=payload, extensions={"timeout": self._timeout}
            ) as response:
                await _skim(response)
        except httpcore.TimeoutException as error:
            raise DeliveryFailed(f"no answer in time: {_name(error)}") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise DeliveryFailed(f"the call failed: {_name(error)}") from None
        if not 200 <= response.status < 300:
            # Standard Webhooks, "Deliverability and reliability": 410 says never again.
            raise DeliveryFailed(
                f"the answer was HTTP {response.status}", permanent=response.status == 410
            )

    async def close(self) -> None:
        """See `Destination.close`."""
        for pool in self._pools.values():
            await pool.aclose()
        for network in self._networks.values():
            network.close()

    def _pool(self, scheme: bytes) -> httpcore.AsyncConnectionPool:
        if scheme not in self._pools:
            if scheme == b"https" and self._tls is None:
                # Not at the start: to read all the system's authorities takes most of a start.
                self._tls = ssl.create_default_context()
            self._pools[scheme] = httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=None,  # bounded for each destination by the deliverer
                max_keepalive_connections=_IDLE_CONNECTIONS,
                keepalive_expiry=_IDLE_SECONDS,
                network_backend=self._networks[scheme],
            )
        return self._pools[scheme]


async def _skim(response: httpcore.Response) -> None:
    """Read the body, so that the connection can be used again; a long one is cut off."""
    size = 0
    async for chunk in response.aiter_stream():
        size += len(chunk)
        if size > RESPONSE_LIMIT:
            return


def _host(url: httpcore.URL) -> str:
    default = {b"http": 80, b"https": 443}[url.scheme]
    host = url.host.decode()
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return host if url.port in (None, default) else f"{host}:{url.port}"


def _name(error: Exception) -> str:
    return name_and_reason(error)
