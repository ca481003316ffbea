"""`clicktrail domain check`: real name servers, certificates and servers, good and bad."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clicktrail.commands.domains.check import Look, check_domain
from clicktrail.commands.domains.findings import Finding, Status
from clicktrail.commands.domains.probe import _is_hidden
from clicktrail.doors.forwarded import Visitors
from clicktrail.keys.probe import ask
from clicktrail.keys.token import Key, KeyRing
from clicktrail.redirect.domains import DomainPages, OwnDomains
from clicktrail.settings.acme import LETS_ENCRYPT
from clicktrail.settings.kinds import Address, Network
from support.certificates import Authority, make_certificate
from support.command_line import invoke
from support.nameserver import NameServer
from support.ports import Ports
from support.redirecting import RING, House, house_in
from support.service import Service

NAME = "click.example.test"
CAA_OF_TEST = "CAA 0 issue above.example"
FOREIGN = KeyRing([Key(1, bytes(64), 0)])
RECORDS = {
    NAME: ["A 127.0.0.1"],
    "alias.example.test": [f"CNAME {NAME}."],
    "both.example.test": ["A 127.0.0.1", "A 127.0.0.2"],
    "six.example.test": ["AAAA ::1"],
    "mail.example.test": ["MX 10 mx.example.test."],
    "loop.example.test": ["CNAME loop.example.test."],
    "broken.example.test": ["SERVFAIL"],
    "silent.example.test": ["SILENCE"],
}


@pytest.fixture(scope="module")
def names() -> Iterator[NameServer]:
    with NameServer(RECORDS) as server:
        yield server


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def pages(trusted: tuple[Network, ...] = ()) -> DomainPages:
    async def none() -> list[str]:
        return []

    return DomainPages(lambda: RING, Visitors(trusted), OwnDomains((), none))


class Checker:
    """Checks domains with the test's name server and authority."""

    def __init__(self, names: NameServer, authority: Authority) -> None:
        self._names = names
        self._authority = authority

    async def __call__(
        self, name: str = NAME, *, ring: KeyRing = RING, seconds: float = 5.0, **ports: int
    ) -> list[Finding]:
        look = Look(ports, seconds, self._names.address, self._authority.file)
        return await check_domain(name, lambda: ask(ring, time.time()), look)


@pytest.fixture
def check(names: NameServer, authority: Authority) -> Checker:
    return Checker(names, authority)


@asynccontextmanager
async def house_with(folder: Path, certificate: tuple[Path, Path]) -> AsyncIterator[House]:
    async with house_in(folder, certificate=certificate, pages=pages()) as house:
        yield house


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """Serve one answer to everybody; give the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(65536)
        if data:
            asked = data.split(b" ")[1] if data.count(b" ") > 1 else b""
            writer.write(answer.replace(b"PATH", asked))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def shown(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(found.check, found.status.value) for found in findings]


def text_of(findings: list[Finding], check: str) -> str:
    return "; ".join(found.text for found in findings if found.check == check)


LOCAL = ("name", "warning")
"""The tests' addresses are not public, and that is said."""


class TestNames:
    async def test_a_name_is_told_with_its_addresses_and_by_which_way(self, check: Checker) -> None:
        found = await check("alias.example.test")
        assert found[0] == Finding(
            "name", Status.OK, f"leads to 127.0.0.1 (by way of {NAME})", None
        )
        assert found[1].text == "not a public address: people elsewhere cannot reach 127.0.0.1"
        assert shown(found) == [("name", "ok"), LOCAL]

    async def test_all_addresses_are_told(self, check: Checker) -> None:
        assert (await check("both.example.test"))[0].text == "leads to 127.0.0.1, 127.0.0.2"
        assert (await check("six.example.test"))[0].text == "leads to ::1"

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("missing.example.test", "there is no such name in the DNS: add an A, AAAA or CNAME"),
            ("mail.example.test", "the name has neither A nor AAAA: add an A, AAAA or CNAME"),
            ("broken.example.test", "the name server cannot tell: "),
            ("loop.example.test", ""),
            ("silent.example.test", "the name server does not answer within 0.3 seconds"),
        ],
    )
    async def test_a_name_without_addresses_is_a_failure_and_nothing_more_is_tried(
        self, check: Checker, name: str, why: str
    ) -> None:
        [found] = await check(name, seconds=0.3, http=1, https=1)
        assert (found.check, found.status) == ("name", Status.FAILED)
        assert found.text.startswith(why)

    async def test_an_address_needs_no_name_server(self, tmp_path: Path, check: Checker) -> None:
        async with house_in(tmp_path, pages=pages()) as house:
            found = await check("127.0.0.1", http=house.address.port)
        assert shown(found) == [("http", "ok")]

    async def test_a_name_that_only_this_machine_knows_is_a_warning(
        self, names: NameServer, authority: Authority
    ) -> None:
        look = Look({}, 0.5, None, authority.file)
        found = await check_domain("localhost", lambda: ask(RING, 0), look)
        assert found[0].status in (Status.WARNING, Status.OK)
        assert "127.0.0.1" in found[0].text


class TestAGoodDomain:
    async def test_it_is_found_good_by_both_schemes(
        self, tmp_path: Path, authority: Authority, check: Checker
    ) -> None:
        async with house_with(tmp_path, authority.issue(NAME)) as house:
            plain, secure = (each.port for each in house.server.addresses)
            found = await check(http=plain, https=secure)
            assert await house.clicks() == []
        assert shown(found) == [
            ("name", "ok"),
            LOCAL,
            ("http", "ok"),
            ("certificate", "ok"),
            ("https", "ok"),
        ]
        assert text_of(found, "http") == text_of(found, "https") == "leads to this installation"
        assert text_of(found, "certificate").startswith("valid until 2")
        assert text_of(found, "certificate").endswith(", from Test Authority")
        assert {each.address for each in found[2:]} == {"127.0.0.1"}

    async def test_each_address_is_tried(self, tmp_path: Path, check: Checker) -> None:
        async with house_in(tmp_path, pages=pages()) as house:
            found = await check("both.example.test", http=house.address.port)
        assert [(f.address, f.status) for f in found if f.check == "http"] == [
            ("127.0.0.1", Status.OK),
            ("127.0.0.2", Status.FAILED),
        ]
        assert (
            found[-1].text == f"port {house.address.port} cannot be reached: nothing listens there"
        )

    async def test_a_wildcard_certificate_is_good(
        self, tmp_path: Path, authority: Authority, check: Checker
    ) -> None:
        async with house_with(tmp_path, authority.issue("*.example.test")) as house:
            found = await check(https=house.server.addresses[1].port)
        assert ("certificate", "ok") in shown(found)

    async def test_a_certificate_that_ends_soon_is_a_warning(
        self, tmp_path: Path, authority: Authority, check: Checker
    ) -> None:
        async with house_with(tmp_path, authority.issue(NAME, days=(-1, 5.5))) as house:
            found = await check(https=house.server.addresses[1].port)
        assert ("certificate", "warning") in shown(found)
        assert text_of(found, "certificate").endswith(": 5 days are left, is it renewed by itself?")


class TestBadCertificates:
    @pytest.mark.parametrize(
        ("names_in_it", "days", "why"),
        [
            ([NAME], (-9, -1), ["it expired on 20"]),
            ([NAME], (1, 9), ["it is not valid before 20"]),
            (["other.test", "x.test"], (-1, 9), [f"it is for other.test, x.test, not for {NAME}"]),
            (["*.test"], (-1, 9), [f"it is for *.test, not for {NAME}"]),
            (["other.test"], (-9, -1), ["it expired on 20", "it is for other.test, not for"]),
        ],
    )
    async def test_all_that_is_wrong_is_told_and_whether_it_is_us_all_the_same(
        self,
        tmp_path: Path,
        authority: Authority,
        check: Checker,
        names_in_it: list[str],
        days: tuple[float, float],
        why: list[str],
    ) -> None:
        async with house_with(tmp_path, authority.issue(*names_in_it, days=days)) as house:
            found = await check(https=house.server.addresses[1].port)
        assert shown(found)[2:] == [("certificate", "failed"), ("https", "ok")]
        assert text_of(found, "certificate").startswith("not valid: ")
        for each in why:
            assert each in text_of(found, "certificate")

    async def test_an_authority_that_nobody_knows(
        self, tmp_path: Path, names: NameServer, authority: Authority
    ) -> None:
        other = Authority(tmp_path / "other")
        async with house_with(tmp_path, other.issue(NAME)) as house:
            found = await Checker(names, authority)(https=house.server.addresses[1].port)
        assert "Test Authority, which issued it, is not known" in text_of(found, "certificate")

    async def test_a_certificate_signed_by_itself(self, tmp_path: Path, check: Checker) -> None:
        async with house_with(tmp_path, make_certificate(tmp_path)) as house:
            found = await check(https=house.server.addresses[1].port)
        text = text_of(found, "certificate")
        assert "signed by itself" in text
        assert f"it is for localhost, 127.0.0.1, not for {NAME}" in text

    async def test_a_port_without_tls(self, check: Checker) -> None:
        async with answering(http("400 Bad Request")) as port:
            found = await check(https=port)
        assert shown(found)[2:] == [("certificate", "failed")]
        assert found[-1].text == f"port {port} does not speak TLS"

    async def test_a_server_that_hangs_up(self, check: Checker) -> None:
        async with answering(b"") as port:
            found = await check(https=port)
        assert shown(found)[2:] == [("certificate", "failed")]
        assert found[-1].text.startswith("the TLS handshake fails")

    async def test_a_server_that_says_nothing(self, check: Checker) -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(-1)
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found = await check(http=port, https=port, seconds=0.3)
        assert text_of(found, "certificate") == (
            f"no TLS handshake within 0.3 seconds: does port {port} speak TLS?"
        )
        assert text_of(found, "http") == "no answer within 0.3 seconds"
        server.close()
        await server.wait_closed()


def http(status: str, *headers: str, body: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


class TestOtherServers:
    @pytest.mark.parametrize(
        ("answer", "status", "text"),
        [
            (
                http("404 Not Found", "Server: nginx/1.2"),
                "failed",
                "'nginx/1.2' answers, and no Clicktrail (HTTP 404)",
            ),
            (
                http("200 OK", body="<html>Welcome"),
                "failed",
                "a server without a name answers, and no Clicktrail (HTTP 200)",
            ),
            (
                http("200 OK", body='{"proof": "x", "host": "x", "client": "x"}'),
                "failed",
                "a Clicktrail answers, but cannot prove to be this one",
            ),
            (
                http("502 Bad Gateway", "Server: Caddy"),
                "failed",
                "'Caddy' does not reach Clicktrail (HTTP 502): is the redirect running?",
            ),
            (
                http("301 Moved", f"Location: https://{NAME}PATH"),
                "warning",
                "is redirected to https: links work, but each click takes one step more",
            ),
            (
                http("301 Moved", f"Location: https://{NAME}/"),
                "failed",
                "is redirected to https without the path: links lead nowhere",
            ),
            (
                http("302 Found", "Location: https://parking.example/?x=1"),
                "failed",
                "is redirected to 'https://parking.example/' (HTTP 302)",
            ),
            (
                http("302 Found", "Location: http://[broken"),
                "failed",
                "is redirected to what is no URL (HTTP 302)",
            ),
            (b"220 mail.example ESMTP\r\n", "failed", "no HTTP answer: "),
            (b"", "failed", "no HTTP answer: "),
        ],
    )
    async def test_what_answers_instead_is_told(
        self, check: Checker, answer: bytes, status: str, text: str
    ) -> None:
        async with answering(answer) as port:
            found = await check(http=port)
        assert shown(found)[2:] == [("http", status)]
        assert found[-1].text.startswith(text)

    async def test_another_clicktrail_is_told_from_this_one(
        self, tmp_path: Path, check: Checker
    ) -> None:
        async with house_in(tmp_path, pages=pages()) as house:
            found = await check(http=house.address.port, ring=FOREIGN)
        assert shown(found)[2:] == [("http", "failed")]
        assert found[-1].text.startswith(
            "a Clicktrail answers, but not this one: it has other keys"
        )

    async def test_a_huge_answer_is_not_read_to_its_end(self, check: Checker) -> None:
        async with answering(http("200 OK", body="x" * 1_000_000)) as port:
            found = await check(http=port)
        assert found[-1].text.endswith("no Clicktrail (HTTP 200)")

    async def test_nothing_listens(self, check: Checker, port: int) -> None:
        found = await check(http=port, https=port)
        assert shown(found)[2:] == [("http", "failed"), ("https", "failed")]
        assert text_of(found, "https") == f"port {port} cannot be reached: nothing listens there"


@pytest.mark.parametrize(
    ("client", "address", "hidden"),
    [
        ("127.0.0.1", "8.8.8.8", True),
        ("10.1.2.3", "8.8.8.8", True),
        ("", "8.8.8.8", True),
        ("9.9.9.9", "8.8.8.8", False),
        ("127.0.0.1", "127.0.0.1", False),
    ],
)
def test_a_client_from_the_internet_has_no_private_address(
    client: str, address: str, hidden: bool
) -> None:
    assert _is_hidden(client, address) is hidden


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    authority = Authority(folder / "authority")
    certificate, key = authority.issue(NAME)
    files = ("--redirect-tls-certificate", str(certificate), "--redirect-tls-key", str(key))
    with Ports(1) as [secure]:
        flags = ("--redirect-tls-listen", f"127.0.0.1:{secure}")
        with Service(folder, "--role", "redirect", *flags, *files) as running:
            yield running


def run(service: Service, names: NameServer, *arguments: str) -> tuple[int, str]:
    done = invoke(
        [
            *("domain", "check", *arguments, "--data", str(service.data)),
            *("--resolver", str(names.address), "--http-port", str(service.http)),
            *("--authorities", str(service.folder / "authority" / "authority.pem")),
        ],
    )
    assert "Traceback" not in done.output
    return done.exit_code, done.output


def secure_port(service: Service) -> str:
    line = next(f for f in service._flags if f.startswith("127.0.0.1:"))
    return line.rpartition(":")[2]


class TestTheCommand:
    def test_a_domain_that_is_ready(self, service: Service, names: NameServer) -> None:
        port = ("--https-port", secure_port(service))
        status, output = run(service, names, NAME.upper() + ".", *port)
        lines = output.splitlines()
        assert (lines[0], lines[-1], status) == (NAME, "Ready.", 0)
        assert "  note    use: no configuration set uses it yet" in output
        assert "  ok      http 127.0.0.1: leads to this installation" in lines
        assert "  ok      https 127.0.0.1: leads to this installation" in lines

    def test_a_domain_in_use(self, service: Service, names: NameServer) -> None:
        service.cli("configuration-set", "create", "news", "--redirect-domain", NAME)
        _, output = run(service, names, NAME, "--scheme", "http")
        assert "  ok      use: the domain of news" in output
        assert "certificate" not in output

    def test_a_domain_that_is_not(self, service: Service, names: NameServer, port: int) -> None:
        status, output = run(service, names, NAME, "--https-port", str(port))
        assert status == 1
        assert f"  FAILED  https 127.0.0.1: port {port} cannot be reached" in output
        assert output.splitlines()[-1] == "Not ready: 1 problem."
        status, output = run(service, names, "missing.example.test")
        assert status == 1
        assert "  FAILED  name: there is no such name in the DNS" in output

    def test_as_json(self, service: Service, names: NameServer) -> None:
        port = ("--https-port", secure_port(service))
        status, output = run(service, names, NAME, "--json", *port)
        told = json.loads(output)
        assert (status, told["domain"], told["ready"]) == (0, NAME, True)
        assert {
            "check": "https",
            "status": "ok",
            "text": "leads to this installation",
            "address": "127.0.0.1",
        } in told["findings"]
        status, output = run(service, names, "missing.example.test", "--json")
        assert (status, json.loads(output)["ready"]) == (1, False)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["no/host"], "'no/host' is not the name of a host"),
            ([NAME, "--scheme", "ftp"], "--scheme 'ftp' cannot be used: expected http or https"),
            ([NAME, "--data", "elsewhere"], "there is no keys.json in 'elsewhere'"),
            ([NAME, "--resolver", "x:y"], "--resolver 'x:y' cannot be used"),
            ([NAME, "--authorities", "missing.pem"], "--authorities 'missing.pem' is no file"),
        ],
    )
    def test_what_cannot_be_used_is_said(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        service: Service,
        arguments: list[str],
        message: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        words = ["domain", "check", "--data", str(service.data), *arguments]
        done = invoke(words)
        assert done.exit_code == 1
        assert message in done.output
        assert not (tmp_path / "elsewhere").exists()

    def test_a_name_server_may_be_named_without_a_port(self) -> None:
        from clicktrail.commands.domains.domain import _name_server

        assert _name_server("192.0.2.53") == Address("192.0.2.53", 53)
        assert _name_server("192.0.2.53:5353") == Address("192.0.2.53", 5353)
        assert _name_server("[2001:db8::53]:53") == Address("2001:db8::53", 53)
        assert _name_server(None) is None


class TestPolicies:
    """Who may certify a domain (CAA), and parents that want https alone (HSTS)."""

    @pytest.mark.parametrize(
        ("lines", "directory", "status", "told"),
        [
            (["CAA 0 issue letsencrypt.org"], LETS_ENCRYPT, "ok", "let letsencrypt.org"),
            (['CAA 0 issue "letsencrypt.org; x=1"'], LETS_ENCRYPT, "ok", "let letsencrypt.org"),
            (["CAA 0 issue sectigo.com"], LETS_ENCRYPT, "failed", 'CAA 0 issue "letsencrypt.org"'),
            (['CAA 0 issue ";"'], LETS_ENCRYPT, "failed", "let nobody certify it"),
            (["CAA 0 issue own.example"], "https://ca.own.example/dir", "note", "ca.own.example"),
            (["SERVFAIL"], LETS_ENCRYPT, "warning", "authorities refuse then"),
            (["CAA 0 iodef mailto:me@example.test"], LETS_ENCRYPT, "", ""),
            (["A 127.0.0.1"], LETS_ENCRYPT, "failed", "records of test let above.example"),
        ],
    )
    async def test_who_may_certify(
        self, lines: list[str], directory: str, status: str, told: str
    ) -> None:
        # They stand above: those of the nearest domain hold.
        records = {"a.b.parent.test": ["A 127.0.0.1"], "parent.test": lines, "test": [CAA_OF_TEST]}
        with NameServer(records) as server:
            look = Look({}, 5.0, server.address, directory=directory)
            found = await check_domain("a.b.parent.test", lambda: ask(RING, time.time()), look)
        said = [(each.status.value, each.text) for each in found if each.check == "caa"]
        if not status:
            assert said == []
            return
        [(was, text)] = said
        assert was == status
        assert told in text

    @pytest.mark.parametrize(
        ("header", "warned"),
        [
            (b"Strict-Transport-Security: max-age=31536000; includeSubDomains; preload", True),
            (b"strict-transport-security: IncludeSubdomains;max-age=1", True),
            (b"Strict-Transport-Security: max-age=31536000", False),
            (b"Strict-Transport-Security: max-age=0; includeSubDomains", False),
            (b"X-Other: 1", False),
        ],
    )
    async def test_a_parent_that_wants_https_alone(
        self, tmp_path: Path, authority: Authority, header: bytes, warned: bool
    ) -> None:
        records = {NAME: ["A 127.0.0.1"], "example.test": ["A 127.0.0.1"]}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("example.test"))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + header + b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        with NameServer(records) as names:
            async with server, house_in(tmp_path, pages=pages()) as house:
                ports = {"http": house.address.port, "https": port}
                look = Look(ports, 5.0, names.address, authority.file)
                found = await check_domain(NAME, lambda: ask(RING, time.time()), look)
        told = [each.text for each in found if each.check == "hsts"]
        assert [text.partition(" tells")[0] for text in told] == (
            ["https://example.test"] if warned else []
        )
