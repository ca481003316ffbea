"""Listening, TLS, and the end: no request is cut off."""

import asyncio
import datetime
import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clicktrail.doors.tls import Certificate
from clicktrail.journal import Entry
from clicktrail.journal.memory import MemoryJournal
from clicktrail.model import Click
from clicktrail.redirect.app import RedirectApp
from clicktrail.redirect.server import Listener, Patience, RedirectServer
from clicktrail.settings.kinds import Address
from support.redirecting import RING, URL, House, house_in, path_of, request, statuses, until
from support.service import PATIENCE


def make_certificate(folder: Path, serial: int) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tracking.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, secret


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), serial=1)


async def test_http_and_https_share_one_journal(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    async with house_in(tmp_path, certificate=certificate) as house:
        plain, secure = house.server.addresses
        for _ in range(2):  # the second time on the same connection
            for start in (f"http://{plain}", f"https://{secure}"):
                response = await house.http.get(start + path_of())
                assert response.headers["location"] == URL
        assert len(await house.clicks()) == 4


async def test_https_answers_who_hang_up_after_each_request(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    async with house_in(tmp_path, certificate=certificate) as house:
        address = house.server.addresses[1]
        trust = ssl.create_default_context(cafile=certificate[0])
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=trust)
        writer.write(request())
        assert statuses(await reader.read(-1)) == [302]
        writer.close()


async def test_old_tls_and_plain_text_are_refused_on_https(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    async with house_in(tmp_path, certificate=certificate) as house:
        address = house.server.addresses[1]
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.verify_mode = ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="deprecated"):
            old.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="deprecated"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(address.host, address.port, ssl=old)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(request())
        assert b"HTTP" not in await reader.read(-1)
        writer.close()
        response = await house.http.get(f"https://{address}{path_of()}")
        assert response.status_code == 302


async def test_a_fault_of_ours_leaves_no_silent_client_for_ever(
    tmp_path: Path,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(self: Certificate) -> None:
        raise LookupError

    monkeypatch.setattr(Certificate, "renew", fail)
    patience = Patience(request=0.2, idle=0.2, look=0.01)
    async with house_in(tmp_path, certificate=certificate, patience=patience) as house:
        await until(lambda: "housekeeping failed" in caplog.text)
        assert await house.say(then_close=False) in (b"", b"(reset)")


async def serial_of(address: Address) -> int:
    """Return the serial number of the certificate that is shown there."""
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(address.host, address.port, ssl=anything)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(shown).serial_number


async def test_a_renewed_certificate_is_used_without_a_new_start(tmp_path: Path) -> None:
    files = make_certificate(tmp_path, serial=7)
    async with house_in(tmp_path, certificate=files, patience=Patience(look=0.01)) as house:
        address = house.server.addresses[1]
        assert await serial_of(address) == 7
        (tmp_path / "new").mkdir()
        chain, key = make_certificate(tmp_path / "new", serial=8)
        for half in (b"half of a certif", chain.read_bytes()):
            files[0].write_bytes(half)
            await asyncio.sleep(0.05)
            assert await serial_of(address) == 7
        files[1].write_bytes(key.read_bytes())
        async with asyncio.timeout(PATIENCE):
            while True:
                if await serial_of(address) == 8:
                    break
                await asyncio.sleep(0.01)


async def test_ipv6_clients_are_served_and_known(tmp_path: Path) -> None:
    journal = MemoryJournal()
    server = RedirectServer(RedirectApp(RING.open, journal), [Listener(Address("::1", 0))])
    await server.start()
    async with httpx.AsyncClient() as http:
        response = await http.get(f"http://{server.addresses[0]}{path_of()}")
        assert response.status_code == 302
    await server.stop()
    assert [entry.click.ip for entry in await journal.read(9, 0)] == ["::1"]


async def test_a_taken_address_is_an_error_at_the_start(house: House) -> None:
    second = RedirectServer(house.app, [Listener(Address("127.0.0.1", 0)), Listener(house.address)])
    with pytest.raises(OSError, match="in use"):
        await second.start()
    assert (await house.http.get(path_of())).status_code == 302


async def test_processes_may_share_an_address_when_they_say_so(house: House) -> None:
    address = Address("127.0.0.1", 0)
    first = RedirectServer(house.app, [Listener(address, shared=True)])
    await first.start()
    second = RedirectServer(house.app, [Listener(first.addresses[0], shared=True)])
    await second.start()
    assert first.addresses == second.addresses
    await first.stop()
    response = await house.http.get(f"http://{second.addresses[0]}{path_of()}")
    assert response.status_code == 302
    await second.stop()


class SlowJournal(MemoryJournal):
    """Takes its time, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.asked = asyncio.Event()

    async def append(self, *clicks: Click) -> None:
        self.asked.set()
        await self.go.wait()
        await super().append(*clicks)


async def read_all(journal: MemoryJournal) -> Sequence[Entry]:
    return await journal.read(1000, 0)


async def test_the_end_waits_for_answers_that_are_due(tmp_path: Path) -> None:
    journal = SlowJournal()
    async with house_in(tmp_path, journal=journal) as house:
        waiting = [asyncio.create_task(house.http.get(path_of())) for _ in range(10)]
        idle = await asyncio.open_connection(house.address.host, house.address.port)
        await journal.asked.wait()
        await until(lambda: len(house.server._office.connections) == 11)
        stopping = asyncio.create_task(house.server.stop())
        assert await idle[0].read(-1) == b""  # nothing is due to this one
        idle[1].close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((house.address.host, house.address.port)).close()
        journal.go.set()
        answers = await asyncio.gather(*waiting)
        await stopping
        assert [answer.status_code for answer in answers] == [302] * 10
        assert {answer.headers["connection"] for answer in answers} == {"close"}
        assert len(await read_all(journal)) == 10


async def test_people_who_click_all_the_while_notice_only_that_the_house_is_closed(
    tmp_path: Path,
) -> None:
    async with house_in(tmp_path) as house:
        sent_on = 0

        async def person() -> None:
            nonlocal sent_on
            async with httpx.AsyncClient(base_url=house.http.base_url) as http:
                while True:
                    try:
                        response = await http.get(path_of())
                    except httpx.ConnectError:
                        return  # closed: not a request cut off, which is a RemoteProtocolError
                    assert response.status_code == 302
                    sent_on += 1

        people = [asyncio.create_task(person()) for _ in range(8)]
        await until(lambda: sent_on >= 100)
        await house.server.stop()
        await asyncio.gather(*people)
        assert len(await house.clicks()) == sent_on == house.app.clicks


async def test_the_end_does_not_wait_for_clients_that_say_nothing_more(tmp_path: Path) -> None:
    async with house_in(tmp_path, patience=Patience(request=3600, idle=3600, stop=3600)) as house:
        connections = [
            await asyncio.open_connection(house.address.host, house.address.port) for _ in range(5)
        ]
        connections[0][1].write(b"GET /c/half")
        connections[1][1].write(request()[:-40] + b"\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            await house.server.stop()
        for _, writer in connections:
            writer.close()
