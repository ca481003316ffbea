"""Webhooks: what the receiver gets, which answers count, and which addresses are called."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook, WebhookVerificationError

from clicktrail.base.arn import Kind, parse_arn, webhook_arn
from clicktrail.errors import DeliveryFailed, InvalidInput
from clicktrail.model import EventDestination, EventType
from clicktrail.publish.deliver import Deliverer, Retry
from clicktrail.publish.destinations import guard, guarded
from clicktrail.publish.destinations.guard import AddressGuard
from clicktrail.publish.destinations.webhook import WebhookDestination
from support.publishing import House, click, until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
PAYLOAD = '{"eventType":"Click","text":"ж😀"}'.encode()


@dataclass
class Web:
    """A web server that keeps requests and answers as it is told."""

    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while line := (await reader.readline()).decode().strip():
                headers = {}
                while header := (await reader.readline()).decode().strip():
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers["content-length"]))
                self.requests.append((line, headers, body))
                if not self.answer:
                    await asyncio.sleep(3600)
                writer.write(self.answer)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(web: Web, tls: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    handlers: set[asyncio.Task[None]] = set()

    def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.create_task(web.serve(reader, writer)))

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with serving(Web()) as served:
        yield served


@pytest.fixture
async def hook() -> AsyncIterator[WebhookDestination]:
    destination = WebhookDestination(SECRET, 5, LOOPBACK)
    yield destination
    await destination.close()


async def send(hook: WebhookDestination, url: str, event_id: str = "the-id:0") -> None:
    await hook.send(parse_arn(webhook_arn(url)), event_id, PAYLOAD)


async def test_the_receiver_gets_signed_json(web: Web, hook: WebhookDestination) -> None:
    await send(hook, f"http://127.0.0.1:{web.port}/hooks/clicks?a=b")
    [(line, headers, body)] = web.requests
    assert line == "POST /hooks/clicks?a=b HTTP/1.1"
    assert body == PAYLOAD
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{web.port}"
    assert headers["user-agent"].startswith("clicktrail/")
    assert headers["webhook-id"] == "the-id:0"
    told = Webhook(SECRET).verify(body, headers)
    assert told == {"eventType": "Click", "text": "ж😀"}
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, {**headers, "webhook-id": "another"})


async def test_connections_are_used_again(web: Web, hook: WebhookDestination) -> None:
    for number in range(5):
        await send(hook, f"http://127.0.0.1:{web.port}/", f"id-{number}")
    assert [headers["webhook-id"][-1] for _, headers, _ in web.requests] == list("01234")
    assert web.connections == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_success(web: Web, hook: WebhookDestination, status: int) -> None:
    web.answer = b"HTTP/1.1 %d OK\r\nContent-Length: 0\r\n\r\n" % status
    await send(hook, f"http://127.0.0.1:{web.port}/")


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (301, False),
        (307, False),
        (400, False),
        (404, False),
        (410, True),
        (429, False),
        (500, False),
    ],
)
async def test_other_answers_are_failures_and_redirects_are_not_followed(
    web: Web, hook: WebhookDestination, status: int, permanent: bool
) -> None:
    there = b"Location: http://127.0.0.1:%d/elsewhere\r\n" % web.port
    web.answer = b"HTTP/1.1 %d No\r\n%bContent-Length: 2\r\n\r\nno" % (status, there)
    with pytest.raises(DeliveryFailed, match=f"HTTP {status}") as raised:
        await send(hook, f"http://127.0.0.1:{web.port}/")
    assert raised.value.permanent is permanent
    assert len(web.requests) == 1


async def test_an_endless_body_is_cut_off(web: Web, hook: WebhookDestination) -> None:
    web.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000
    await send(hook, f"http://127.0.0.1:{web.port}/")
    web.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    await send(hook, f"http://127.0.0.1:{web.port}/")
    assert web.connections == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(b"", "no answer in time"), (b"SSH-2.0-server\r\n\r\n", "the call failed")],
)
async def test_silence_and_nonsense_are_failures(web: Web, answer: bytes, expected: str) -> None:
    hook = WebhookDestination(SECRET, 0.2, LOOPBACK)
    web.answer = answer
    with pytest.raises(DeliveryFailed, match=expected) as raised:
        await send(hook, f"http://127.0.0.1:{web.port}/")
    assert not raised.value.permanent
    await hook.close()


async def test_a_closed_port_is_a_failure(hook: WebhookDestination) -> None:
    async with serving(Web()) as gone:
        pass
    with pytest.raises(DeliveryFailed, match="the call failed"):
        await send(hook, f"http://127.0.0.1:{gone.port}/")


async def test_proxies_of_the_environment_are_not_used(
    web: Web, hook: WebhookDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    await send(hook, f"http://127.0.0.1:{web.port}/")
    assert len(web.requests) == 1


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_a", "не base64"])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(InvalidInput, match="whsec_"):
        WebhookDestination(secret)


class TestAddresses:
    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "2130706433",
            "127.1",
            "0x7f.1",
        ],
    )
    async def test_this_machine_is_not_called_however_it_is_written(
        self, web: Web, host: str
    ) -> None:
        for networks in ((), (ipaddress.ip_network("10.0.0.0/8"),)):
            hook = WebhookDestination(SECRET, 2, networks)
            for scheme in ("http", "https"):
                with pytest.raises(DeliveryFailed, match=r"webhook\.allow") as raised:
                    await send(hook, f"{scheme}://{host}:{web.port}/")
                assert not raised.value.permanent
            await hook.close()
        assert web.connections == 0

    async def test_the_address_that_was_checked_is_the_one_connected_to(
        self, web: Web, hook: WebhookDestination, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = [["10.0.0.1", "127.0.0.1"], ["10.0.0.1"]]
        monkeypatch.setattr(
            guarded, "_look_up", lambda _: [ipaddress.ip_address(a) for a in answers.pop(0)]
        )
        await send(hook, f"http://rebound.example:{web.port}/")
        assert web.requests[0][1]["host"] == f"rebound.example:{web.port}"
        await asyncio.sleep(0)
        assert len(answers) == 1
        with pytest.raises(DeliveryFailed, match=r"second\.example \(10\.0\.0\.1\) is not"):
            await send(hook, f"http://second.example:{web.port}/")

    async def test_public_addresses_are_called_with_tls_only(
        self, hook: WebhookDestination, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(guarded, "_look_up", lambda _: [ipaddress.ip_address("192.88.99.9")])
        monkeypatch.setattr(guard, "_is_public", lambda _: True)
        with pytest.raises(DeliveryFailed, match="without https only networks"):
            await send(hook, "http://public.example/")

    async def test_a_name_that_does_not_exist_is_named(self, hook: WebhookDestination) -> None:
        with pytest.raises(DeliveryFailed, match=r"no-such-host\.invalid cannot be resolved"):
            await send(hook, "https://no-such-host.invalid/")

    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1", "127.255.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
            "100.64.0.1", "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "240.0.0.1",
            "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1",
            "fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
            "::127.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "2001:0:7f00:1::",
        ],
    )  # fmt: skip
    def test_what_is_not_public_is_refused(self, address: str) -> None:
        parsed = ipaddress.ip_address(address)
        assert not AddressGuard(()).is_callable(parsed)
        assert not AddressGuard(()).is_allowed(parsed)

    @pytest.mark.parametrize(
        "address",
        [
            "8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a02:6b8::2:242",
            "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1",
        ],
    )  # fmt: skip
    def test_what_is_public_may_be_called(self, address: str) -> None:
        parsed = ipaddress.ip_address(address)
        assert AddressGuard(()).is_callable(parsed)
        assert not AddressGuard(()).is_allowed(parsed)

    def test_allowed_networks_hold_for_every_form_of_an_address(self) -> None:
        allowing = AddressGuard([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1")])
        for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "::1"):
            assert allowing.is_allowed(ipaddress.ip_address(address))
        for address in ("11.1.2.3", "::ffff:127.0.0.1", "2002:a01:203::1"):
            assert not allowing.is_allowed(ipaddress.ip_address(address))


def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server with a certificate for that name, and of its clients."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = folder / f"{host}.pem"
    chain.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    return server, ssl.create_default_context(cafile=chain)


async def test_certificates_are_checked_against_the_name_in_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, trusting = certificate(tmp_path, "hooks.example")
    monkeypatch.setattr(guarded, "_look_up", lambda _: [ipaddress.ip_address("127.0.0.1")])
    async with serving(Web(), server) as web:
        trusts = WebhookDestination(SECRET, 5, LOOPBACK, trusting)
        await send(trusts, f"https://hooks.example:{web.port}/")
        assert len(web.requests) == 1
        with pytest.raises(DeliveryFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await send(trusts, f"https://other.example:{web.port}/")
        await trusts.close()
        does_not = WebhookDestination(SECRET, 5, LOOPBACK)
        with pytest.raises(DeliveryFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await send(does_not, f"https://hooks.example:{web.port}/")
        await does_not.close()
        assert len(web.requests) == 1


async def test_a_click_reaches_a_webhook_through_an_outage(
    house: House, web: Web, hook: WebhookDestination
) -> None:
    arn = webhook_arn(f"http://127.0.0.1:{web.port}/")
    await house.configuration_set(
        "news", EventDestination("hook", arn, frozenset({EventType.CLICK}))
    )
    made = click(await house.message())
    await house.journal.append(made)
    await house.publish()
    web.answer = b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"
    deliverer = Deliverer(house.store, {Kind.WEBHOOK: hook}, Retry(0.01, 0.02))
    task = asyncio.create_task(deliverer.run())
    await until(lambda: len(web.requests) >= 3)
    web.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    await until(house.nothing_waits)
    await deliverer.stop()
    await task
    assert {headers["webhook-id"] for _, headers, _ in web.requests} == {f"{made.event_id}:0"}
    told = Webhook(SECRET).verify(web.requests[-1][2], web.requests[-1][1])
    assert told["click"]["url"] == made.url
