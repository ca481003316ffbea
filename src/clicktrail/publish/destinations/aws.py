"""Signed calls of AWS's JSON protocol: what Kinesis Data Streams and Data Firehose share.

botocore finds the credentials and signs; the call itself goes over the connections that webhooks
use, so that the same addresses are guarded. That takes half of the memory of a whole client.
"""

# ruff: noqa: PLC0415 - botocore takes 10 MB: only where such a destination is in use

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpcore
import msgspec

from clicktrail import __version__
from clicktrail.base.arn import Arn
from clicktrail.base.json_input import InvalidJson, read_json
from clicktrail.base.redact import name_and_reason, reason_of
from clicktrail.errors import DeliveryFailed
from clicktrail.publish.destinations import Event
from clicktrail.publish.destinations.guard import AddressGuard, Network
from clicktrail.publish.destinations.guarded import GuardedNetwork

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

ANSWER_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer that are read: 500 records take some 100 KB."""
_IDLE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """How AWS, or what speaks like it, is called.

    Without an access key the credentials come from where AWS's own tools take them. ``endpoint``
    is called instead of AWS's own for ``arn:aws:…``; the operator gives it, so it is not guarded.
    ``timeout`` is in seconds, for each step of a call. ``allowed`` are networks that endpoints in
    ARNs may be in although they are not public, then also without TLS.
    """

    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    endpoint: str = ""
    timeout: float = 10.0
    allowed: Iterable[Network] = ()


class AwsClient:
    """Calls services of AWS's JSON protocol. One serves all destinations of its kinds."""

    def __init__(self, settings: AwsSettings, tls: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._timeout = dict.fromkeys(("connect", "read", "write", "pool"), settings.timeout)
        self._tls = tls
        self._pools: dict[str, httpcore.AsyncConnectionPool] = {}
        self._networks: list[GuardedNetwork] = []
        self._credentials: Credentials | None = None
        self._finding = asyncio.Lock()

    async def call(self, service: str, target: str, arn: Arn, body: dict[str, Any]) -> bytes:
        """Call an operation; return the body of its answer. Raises `DeliveryFailed`."""
        own = self._settings.endpoint or f"https://{service}.{arn.region}.amazonaws.com"
        url = httpcore.URL((arn.endpoint or own).rstrip("/") + "/")
        content = msgspec.json.encode(body)  # bytes become base64, as the protocol has it
        headers = await self._sign(service, target, arn.region, url, content)
        pool = self._pool(url, guarded=bool(arn.endpoint))
        try:
            async with pool.stream(
                "POST", url, headers=headers, content=content, extensions={"timeout": self._timeout}
            ) as response:
                answer = await _read(response)
        except httpcore.TimeoutException as error:
            raise DeliveryFailed(f"no answer in time: {type(error).__name__}") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise DeliveryFailed(f"the call failed: {name_and_reason(error)}") from None
        if response.status != 200:
            raise DeliveryFailed(_reason(response.status, answer))
        return answer

    async def close(self) -> None:
        """Let go of connections."""
        for pool in self._pools.values():
            await pool.aclose()
        for network in self._networks:
            network.close()

    async def _sign(
        self, service: str, target: str, region: str, url: httpcore.URL, content: bytes
    ) -> list[tuple[bytes, bytes]]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        headers = {
            "Host": _host(url),
            "Content-Type": "application/x-amz-json-1.1",
            "Content-Length": str(len(content)),
            "User-Agent": f"clicktrail/{__version__}",
            "X-Amz-Target": target,
        }
        request = AWSRequest("POST", bytes(url).decode(), headers, content)
        SigV4Auth(await self._frozen_credentials(), service, region).add_auth(request)
        return [(n.encode(), str(v).encode()) for n, v in request.headers.items()]

    async def _frozen_credentials(self) -> "ReadOnlyCredentials":
        """Return the credentials of now; those of a role are made new where they run out."""
        from botocore.credentials import Credentials
        from botocore.exceptions import BotoCoreError

        settings = self._settings
        if settings.access_key_id:
            return Credentials(
                settings.access_key_id, settings.secret_access_key
            ).get_frozen_credentials()
        try:
            async with self._finding:
                if self._credentials is None:
                    self._credentials = await asyncio.to_thread(_find_credentials)
                if self._credentials is not None:
                    return await asyncio.to_thread(self._credentials.get_frozen_credentials)
        except BotoCoreError as error:
            raise DeliveryFailed(f"AWS credentials cannot be had: {reason_of(error)}") from None
        raise DeliveryFailed(
            "there are no AWS credentials: set kinesis.access_key_id and"
            " kinesis.secret_access_key, or give them as AWS's own tools take them"
            " (AWS_ACCESS_KEY_ID, ~/.aws/credentials, the machine's role)"
        )

    def _pool(self, url: httpcore.URL, *, guarded: bool) -> httpcore.AsyncConnectionPool:
        name = f"{url.scheme.decode()} {guarded}"
        if name not in self._pools:
            network: httpcore.AsyncNetworkBackend = httpcore.AnyIOBackend()
            if guarded:
                guard = AddressGuard(self._settings.allowed)
                network = GuardedNetwork(guard, tls=url.scheme == b"https")
                self._networks.append(network)
            self._tls = self._tls or ssl.create_default_context()
            self._pools[name] = httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=None,  # bounded for each destination by the deliverer
                keepalive_expiry=_IDLE_SECONDS,
                network_backend=network,
            )
        return self._pools[name]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold: records, and bytes in each and in all."""

    records: int
    each: int
    total: int


Put = Callable[[Sequence[Event]], Awaitable[Sequence[str]]]
"""Puts events by one request; returns for each the error, ``""`` where it was taken."""


async def put_in_parts(
    events: Sequence[Event], size: Callable[[Event], int], limits: Limits, put: Put
) -> list[DeliveryFailed | None]:
    """Put events by as few requests as the limits allow; return why each failed, or ``None``.

    After a request that failed as a whole no more are made: they would fail as well.
    """
    outcomes: dict[int, DeliveryFailed | None] = {}
    failed: DeliveryFailed | None = None
    for part in _parts([size(event) for event in events], limits):
        try:
            if failed is None:
                errors = await put([events[place] for place in part])
                outcomes |= {
                    p: DeliveryFailed(e) if e else None for p, e in zip(part, errors, strict=True)
                }
                continue
        except DeliveryFailed as error:
            failed = error
        outcomes |= dict.fromkeys(part, failed)
    too_large = DeliveryFailed(f"the event is larger than {limits.each} bytes", permanent=True)
    return [outcomes.get(place, too_large) for place in range(len(events))]


def _parts(sizes: Sequence[int], limits: Limits) -> list[list[int]]:
    """Return the places of what fits, in requests that keep the limits."""
    parts: list[list[int]] = [[]]
    total = 0
    for place, size in enumerate(sizes):
        if size > limits.each:
            continue
        if len(parts[-1]) == limits.records or total + size > limits.total:
            parts.append([])
            total = 0
        parts[-1].append(place)
        total += size
    return [part for part in parts if part]


def _find_credentials() -> "Credentials | None":
    from botocore.session import Session

    found: Credentials | None = Session().get_credentials()
    return found


async def _read(response: httpcore.Response) -> bytes:
    answer = bytearray()
    async for chunk in response.aiter_stream():
        answer += chunk
        if len(answer) > ANSWER_LIMIT:
            raise DeliveryFailed(f"the answer is longer than {ANSWER_LIMIT} bytes")
    return bytes(answer)


class _Record(msgspec.Struct):
    ErrorCode: str | None = None
    ErrorMessage: str | None = None


class _Answer(msgspec.Struct):
    Records: list[_Record] = []
    RequestResponses: list[_Record] = []


def record_errors(answer: bytes, count: int) -> list[str]:
    """Return the error of each of ``count`` records, in their order, ``""`` where there is none.

    The answer is that of PutRecords or PutRecordBatch ("Response Elements"). Raises
    `DeliveryFailed` where it is not.
    """
    try:
        found = read_json(answer, _Answer)
    except InvalidJson as error:
        raise DeliveryFailed(f"the answer cannot be understood: {reason_of(error)}") from None
    records = found.Records or found.RequestResponses
    if len(records) != count:
        raise DeliveryFailed(f"the answer tells of {len(records)} records, not of {count}")
    return [
        ": ".join(filter(None, (r.ErrorCode, r.ErrorMessage))) if r.ErrorCode else ""
        for r in records
    ]


class _Error(msgspec.Struct):
    type: str = msgspec.field(default="", name="__type")
    message: str = ""
    Message: str = ""


def _reason(status: int, answer: bytes) -> str:
    """Return what an answer says went wrong (AWS JSON 1.1, "Operation error serialization")."""
    try:
        error = read_json(answer, _Error)
    except InvalidJson:
        return f"the answer was HTTP {status}"
    name = error.type.rpartition("#")[2]
    text = ": ".join(filter(None, (name, error.message or error.Message)))
    return f"the answer was HTTP {status}: {text}" if text else f"the answer was HTTP {status}"


def _host(url: httpcore.URL) -> str:
    default = {b"http": 80, b"https": 443}[url.scheme]
    host = url.host.decode()
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return host if url.port in (None, default) else f"{host}:{url.port}"
