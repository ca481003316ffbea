"""Orders, renewals and failures, with Pebble as the authority."""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self

import pytest
from josepy import b64

from clicktrail.base.ids import now_us
from clicktrail.certificates.accounts import Terms
from clicktrail.certificates.authority import Authority, Binding, OrderFailed, new_account_key
from clicktrail.keys.vault import Vault
from clicktrail.store import Store
from support.ordering import Town
from support.pebble import Pebble, needs_pebble
from support.redirecting import until
from support.service import PATIENCE

pytestmark = needs_pebble

NAME = "click.shop.example"


@pytest.mark.parametrize("kind", ["tls-alpn-01", "http-01"])
async def test_each_kind_of_challenge(town: Town, kind: str) -> None:
    with town.pebble() as pebble:
        async with town.node(pebble, kinds=[kind]) as node:
            await town.issued()
            assert await node.served(NAME)
            assert await town.certificates.challenges() == []
        assert pebble.orders == 1


async def test_refused_nonces_are_no_failure(town: Town) -> None:
    with town.pebble(environment={"PEBBLE_WFE_NONCEREJECT": "60"}) as pebble:
        async with town.node(pebble):
            assert (await town.issued()).failures == 0
        assert pebble.orders == 1


async def test_no_order_for_a_name_that_does_not_lead_here(town: Town) -> None:
    town.names = [NAME, "away.shop.example", "none.shop.example"]
    with town.pebble() as pebble:
        pebble.records["away.shop.example"] = ["A 127.0.0.2"]
        del pebble.records["none.shop.example"]
        async with town.node(pebble):
            await town.issued()
            away = await town.until(lambda state: state.failures > 1, "away.shop.example")
            none = await town.until(lambda state: state.failures > 1, "none.shop.example")
            assert "does not lead here: 127.0.0.2:" in away.problem
            assert "does not resolve" in none.problem
            assert pebble.orders == 1
            pebble.records["away.shop.example"] = ["A 127.0.0.1"]
            await town.issued("away.shop.example")
        assert pebble.orders == 2


async def test_one_of_several_addresses_that_leads_elsewhere(town: Town) -> None:
    with town.pebble() as pebble:
        one, two = [
            await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.3", port)
            for port in town.ports
        ]
        pebble.records[NAME] = ["A 127.0.0.1", "A 127.0.0.3"]
        async with one, two, town.node(pebble):
            state = await town.until(lambda state: state.failures > 0)
            assert "127.0.0.3:" in state.problem
            assert "127.0.0.1:" not in state.problem
        assert pebble.orders == 0


async def test_a_rejected_order_is_told_and_followed_by_another_way(town: Town) -> None:
    with town.pebble() as pebble:
        # Where nobody looks first, the authority finds nobody at the port of the first way.
        pebble.stop()
        settings = json.loads((town.folder / "pebble" / "pebble.json").read_text())
        settings["pebble"]["tlsPort"] = 1
        (town.folder / "pebble" / "pebble.json").write_text(json.dumps(settings))
        pebble.start()
        async with town.node(pebble, rehearsed=False):
            failed = await town.until(lambda state: state.failures > 0)
            assert "127.0.0.1:1" in failed.problem
            assert "Traceback" not in failed.problem
            done = await town.issued()
        assert (done.failures, done.problem) == (0, "")
        assert pebble.orders == 2


@pytest.mark.long
async def test_a_renewed_certificate_is_served_and_the_old_one_until_then(town: Town) -> None:
    slow = {"PEBBLE_VA_NOSLEEP": "", "PEBBLE_VA_SLEEPTIME": "2"}
    with town.pebble(environment=slow) as pebble:
        async with town.node(pebble) as node:
            await town.issued()
            first = await node.shown(NAME)
            assert first is not None
            await town.is_due(NAME)
            shown = await node.served(NAME, first)
            # No visitor ever got the certificate of a challenge.
            assert shown.issuer == first.issuer
        assert pebble.orders == 2


async def test_two_nodes_make_one_order_of_each_name(town: Town, tmp_path: Path) -> None:
    town.names = [f"n{number}.shop.example" for number in range(6)]
    with town.pebble() as pebble:
        other = await Store.open(f"sqlite:///{tmp_path / 'store.db'}")
        async with AsyncExitStack() as stack:
            stack.push_async_callback(other.close)
            one = await stack.enter_async_context(town.node(pebble))
            # The authority comes to the first alone, which answers for both.
            two = await stack.enter_async_context(town.node(pebble, aside=True, store=other))
            for name in town.names:
                await town.issued(name)
                assert await one.served(name) == await two.served(name)
        # Not the orders: one that failed on a busy machine is made again.
        assert pebble.told("Issued certificate") == len(town.names)
        assert pebble.told("There are now 2 accounts") == 0


@pytest.mark.long
async def test_who_takes_a_name_keeps_others_away_and_not_for_ever(town: Town) -> None:
    with town.pebble() as pebble:
        dead = await town.certificates.take(NAME, "a node that died", 1.0)
        assert dead is not None
        assert await town.certificates.take(NAME, "another", 1.0) is None
        async with town.node(pebble):
            await town.issued()
        assert pebble.orders == 1


@pytest.mark.long
async def test_an_authority_that_forgot_the_account(town: Town) -> None:
    town.names = [NAME]
    with town.pebble() as pebble:
        async with town.node(pebble):
            await town.issued()
            pebble.stop()
            pebble.start()
            pebble.records["go.shop.example"] = ["A 127.0.0.1"]
            town.names.append("go.shop.example")
            await town.issued("go.shop.example")


@pytest.mark.long
async def test_an_authority_that_is_away_or_not_trusted(town: Town) -> None:
    with town.pebble() as pebble:
        pebble.stop()
        async with town.node(pebble) as node:
            state = await town.until(lambda state: state.failures > 0)
            assert "cannot be reached" in state.problem
            assert await node.shown(NAME) is None
            pebble.start()
            await town.issued()
        town.names.append("go.shop.example")
        pebble.records["go.shop.example"] = ["A 127.0.0.1"]
        async with town.node(pebble, terms=Terms(pebble.directory, "me@example.com")):
            state = await town.until(lambda state: state.failures > 0, "go.shop.example")
            assert "is not trusted" in state.problem
            assert "acme.tls_ca" in state.problem


@pytest.mark.long
async def test_an_account_that_is_bound_to_one_elsewhere(town: Town) -> None:
    mac_key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    with town.pebble(binding=("kid-1", mac_key)) as pebble:
        async with town.node(pebble):
            state = await town.until(lambda state: state.failures > 0)
            assert "externalAccountRequired" in state.problem
        bound = Terms(pebble.directory, "me@example.com", pebble.ca, Binding("kid-1", mac_key))
        async with town.node(pebble, terms=bound):
            await town.issued()


@pytest.mark.long
async def test_a_change_of_the_authority_orders_anew(town: Town, tmp_path: Path) -> None:
    with town.pebble() as first:
        async with town.node(first) as node:
            await town.issued()
            old = await node.shown(NAME)
    town.folder = tmp_path / "other"
    with town.pebble() as second:
        async with town.node(second) as node:
            assert await node.served(NAME) is not None
            await town.until(
                lambda state: state.directory == second.directory and not state.problem
            )
            await node.served(NAME, old)
        assert second.orders == 1


class Renewing:
    """Pebble, with a renewalInfo (RFC 9773) that it does not have: a proxy before it.

    ``asked`` are the requests for it, ``replaced`` what each new order says that it replaces; one
    that does is refused with ``refuses``, where that is set. With ``informs`` off, the directory
    has none. Use as a context manager.
    """

    def __init__(self, pebble: Pebble, window: dict[str, str]) -> None:
        self.asked: list[str] = []
        self.replaced: list[str | None] = []
        self.refuses = ""
        self.informs = True
        renewing = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/ari/"):
                    renewing.asked.append(self.path.removeprefix("/ari/"))
                    self.answer(200, {"Retry-After": "21600"}, {"suggestedWindow": dict(window)})
                else:
                    self.pass_on()

            def do_HEAD(self) -> None:
                self.pass_on()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                order = b64.b64decode(json.loads(body)["payload"])
                if b'"identifiers"' in order:
                    replaces = json.loads(order).get("replaces")
                    renewing.replaced.append(replaces)
                    if replaces and renewing.refuses:
                        kind = f"urn:ietf:params:acme:error:{renewing.refuses}"
                        return self.answer(409, {}, {"type": kind, "detail": "it is so"})
                return self.pass_on(body)

            def pass_on(self, body: bytes | None = None) -> None:
                kept = ("Content-Type", "Accept", "User-Agent")
                headers = {name: self.headers[name] for name in kept if name in self.headers}
                # Of this Pebble makes its URLs, and checks that they were signed.
                headers["Host"] = self.headers["Host"]
                status, told, text = pebble.ask(self.command, self.path, headers, body)
                if self.path == "/dir" and renewing.informs:
                    directory = {"renewalInfo": f"https://{self.headers['Host']}/ari"}
                    text = json.dumps(json.loads(text) | directory).encode()
                self.answer(status, told, text)

            def answer(self, status: int, headers: Mapping[str, str], body: object) -> None:
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                names = ("Replay-Nonce", "Location", "Link", "Retry-After")
                for name in (each for each in names if each in headers):
                    self.send_header(name, headers[name])
                self.send_header("Content-Type", headers.get("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pebble.own)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.directory = f"https://localhost:{self._server.server_address[1]}/dir"
        self._thread = Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def at(days: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * 86400))


@pytest.mark.long
async def test_the_authority_says_when_to_renew(town: Town) -> None:
    window = {"start": at(20), "end": at(21)}
    with town.pebble() as pebble, Renewing(pebble, window) as renewing:
        terms = Terms(renewing.directory, "me@example.com", pebble.ca)
        async with town.node(pebble, terms=terms) as node:
            before = await town.issued()
            first = await node.served(NAME)
            await town.is_due(NAME, before.renew_at)
            after = await town.until(lambda state: state.renew_at != before.renew_at)
            assert 19.9 < (after.renew_at - now_us()) / 86400e6 < 21.1
            assert 0.2 < (after.due_at - now_us()) / 86400e6 < 0.3
            assert len(renewing.asked) == 1
            # As authorities say of certificates that they are about to revoke.
            window |= {"start": at(-2), "end": at(-1)}
            await town.is_due(NAME, after.renew_at)
            await node.served(NAME, first)
        assert pebble.orders == 2


@pytest.mark.long
@pytest.mark.parametrize("refuses", ["", "alreadyReplaced", "unauthorized", "malformed"])
async def test_a_renewal_says_what_it_replaces(town: Town, refuses: str) -> None:
    """An authority that will not have it so gets an order that does not say it."""
    window = {"start": at(-2), "end": at(-1)}
    with town.pebble() as pebble, Renewing(pebble, window) as renewing:
        renewing.refuses = refuses
        terms = Terms(renewing.directory, "me@example.com", pebble.ca)
        async with town.node(pebble, terms=terms) as node:
            before = await town.issued()
            first = await node.served(NAME)
            await town.is_due(NAME, before.renew_at)
            await node.served(NAME, first)
        assert renewing.asked  # acme's words for the same certificate
        seen = {*renewing.asked}
        assert list(dict.fromkeys(renewing.replaced)) == [None, *seen]
        assert renewing.replaced[-1] == (None if refuses else renewing.asked[0])
        assert pebble.orders == 2


@pytest.mark.long
async def test_no_renewal_says_it_to_an_authority_that_did_not_ask(town: Town) -> None:
    with town.pebble() as pebble, Renewing(pebble, {}) as renewing:
        renewing.informs = False
        terms = Terms(renewing.directory, "me@example.com", pebble.ca)
        async with town.node(pebble, terms=terms) as node:
            await town.issued()
            first = await node.served(NAME)
            await town.is_due(NAME)
            await node.served(NAME, first)
        assert set(renewing.replaced) == {None}
        assert len(renewing.replaced) >= 2


async def test_certificates_are_served_without_the_store(town: Town) -> None:
    with town.pebble() as pebble:
        async with town.node(pebble) as node:
            await town.issued()
            first = await node.served(NAME)
            await until((town.folder / "certificates" / NAME).exists)  # which is after it is served
        (town.folder / "certificates" / "damaged.shop.example").write_bytes(b"{")
        async with town.node(pebble, away=True) as node:
            assert await node.shown(NAME) == first
            await until(lambda: bool(node.faults.current()))
            assert node.faults.current() == {"certificates": "the database is away"}


@pytest.mark.long
async def test_a_vault_key_that_is_another_one(town: Town) -> None:
    with town.pebble() as pebble:
        async with town.node(pebble):
            await town.issued()
        town.vault = Vault(bytes([1]) * 64)
        async with town.node(pebble) as node:
            await until(lambda: bool(node.faults.current()))
            [why] = node.faults.current().values()
            assert "sealed with another key" in why
            assert await node.shown(NAME) is None


@pytest.mark.long
async def test_a_hundred_domains(town: Town) -> None:
    town.names = [f"n{number}.shop.example" for number in range(100)]
    with town.pebble() as pebble:
        async with town.node(pebble) as node:
            for name in town.names:
                await town.issued(name)
                assert await node.served(name)
        assert pebble.orders == 100


def test_no_secret_is_in_what_is_told(tmp_path: Path) -> None:
    key = new_account_key()
    with pytest.raises(OrderFailed) as raised:
        Authority("https://127.0.0.1:1/dir", key)
    assert str(raised.value) == ("https://127.0.0.1:1/dir cannot be reached: Connection refused")


async def test_a_client_that_sends_its_hello_in_pieces(town: Town) -> None:
    with town.pebble() as pebble:
        async with town.node(pebble) as node:
            await town.issued()
            await node.served(NAME)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client = context.wrap_bio(incoming, outgoing, server_hostname=NAME)
            with pytest.raises(ssl.SSLWantReadError):
                client.do_handshake()
            reader, writer = await asyncio.open_connection(node.tls.host, node.tls.port)
            hello = outgoing.read()
            for piece in (hello[:3], hello[3:100], hello[100:]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.03)
            async with asyncio.timeout(PATIENCE):
                answer = await reader.read(5)
            writer.transport.abort()
            assert answer[:1] == b"\x16"  # a handshake goes on; an alert would be 0x15
