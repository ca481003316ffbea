"""Looks at a tracking domain as a reader's browser would: name, certificate, who answers."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from clicktrail.base.redact import reason_of
from clicktrail.commands.domains.certificate import NoTls, look_at_certificate
from clicktrail.commands.domains.findings import Door, Finding, Status
from clicktrail.commands.domains.policies import authorized, only_https
from clicktrail.commands.domains.probe import probe
from clicktrail.keys.probe import Question
from clicktrail.settings.kinds import Address

MOST_ADDRESSES = 8
"""More addresses of one name are not tried."""


@dataclass(frozen=True, slots=True)
class Look:
    """How to look: which schemes at which ports, how long to wait (``seconds``, for each step).

    ``resolver`` is a name server to ask instead of this machine's; ``authorities`` a PEM file with
    certificates that are trusted beside those that this machine trusts.
    """

    ports: dict[str, int] = field(default_factory=lambda: {"http": 80, "https": 443})
    seconds: float = 10.0
    resolver: Address | None = None
    authorities: Path | None = None
    directory: str = ""
    """Where certificates are ordered (RFC 8555 § 7.1.1), where they come by themselves."""


async def check_domain(name: str, ask: Callable[[], Question], look: Look) -> list[Finding]:
    """Return all that was found about a domain, in order.

    ``name`` is a `clicktrail.base.hostname.host_name`; ``ask`` makes the questions that only this
    installation can answer (`clicktrail.keys.probe`).
    """
    findings, addresses = await _resolve(name, look)
    doors = [
        Door(name, scheme, address, port, look.seconds)
        for scheme, port in look.ports.items()
        for address in addresses[:MOST_ADDRESSES]
    ]
    jobs = [_look_at(door, ask(), look.authorities) for door in doors]
    jobs += _policies(name, look)
    for found in await asyncio.gather(*jobs):
        findings += found
    return findings


def _policies(name: str, look: Look) -> list[Coroutine[None, None, list[Finding]]]:
    resolver = _resolver(look)

    async def addresses(parent: str) -> list[str]:
        answer = await resolver.resolve(f"{parent}.", "A", lifetime=look.seconds, search=False)
        return [record.address for record in answer]

    jobs = []
    if look.directory:
        jobs.append(authorized(name, look.directory, resolver, look.seconds))
    if "http" in look.ports:
        port = look.ports.get("https", 443)
        jobs.append(only_https(name, port, addresses, look.seconds))
    return jobs


def _resolver(look: Look) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=look.resolver is None)
    if look.resolver is not None:
        resolver.nameservers = [look.resolver.host]
        resolver.port = look.resolver.port
    return resolver


async def _resolve(name: str, look: Look) -> tuple[list[Finding], list[str]]:
    """Return what is to be said of a name, and its addresses."""
    try:
        return [], [str(ipaddress.ip_address(name))]
    except ValueError:
        pass
    resolver = _resolver(look)
    addresses: list[str] = []
    canonical = ""
    troubles: list[str] = []
    for kind in ("A", "AAAA"):
        try:
            answer = await resolver.resolve(f"{name}.", kind, lifetime=look.seconds, search=False)
        except dns.resolver.NoAnswer:
            continue
        except dns.resolver.NXDOMAIN:
            troubles.append("there is no such name in the DNS")
            break
        except dns.resolver.LifetimeTimeout:
            troubles.append(f"the name server does not answer within {look.seconds:g} seconds")
            break
        except dns.exception.DNSException as error:
            troubles.append(f"the name server cannot tell: {reason_of(error)}")
            break
        addresses += [record.address for record in answer]
        canonical = answer.canonical_name.to_text(omit_final_dot=True)
    if not addresses:
        return await _only_here(name, troubles or ["the name has neither A nor AAAA"], look)
    by_way = f" (by way of {canonical})" if canonical.lower() != name else ""
    found = [Finding("name", Status.OK, f"leads to {', '.join(addresses)}{by_way}")]
    found += [Finding("name", Status.WARNING, trouble) for trouble in troubles]
    return found + _private(addresses), addresses


async def _only_here(
    name: str, troubles: Sequence[str], look: Look
) -> tuple[list[Finding], list[str]]:
    """Say what is wrong with a name without addresses; this machine may know it all the same."""
    failed = [Finding("name", Status.FAILED, f"{'; '.join(troubles)}: add an A, AAAA or CNAME")]
    if look.resolver is not None:
        return failed, []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return failed, []
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    text = f"leads to {', '.join(addresses)}, but only on this machine: {'; '.join(troubles)}"
    return [Finding("name", Status.WARNING, text)], addresses


def _private(addresses: Sequence[str]) -> list[Finding]:
    private = [each for each in addresses if not ipaddress.ip_address(each).is_global]
    text = f"not a public address: people elsewhere cannot reach {', '.join(private)}"
    return [Finding("name", Status.WARNING, text)] if private else []


async def _look_at(door: Door, question: Question, authorities: Path | None) -> list[Finding]:
    """Return what is found at one address by one scheme."""
    trouble = await _connect(door)
    if trouble:
        text = f"port {door.port} cannot be reached: {trouble}"
        return [Finding(door.scheme, Status.FAILED, text, door.address)]
    found: list[Finding] = []
    if door.scheme == "https":
        try:
            said = await look_at_certificate(door, authorities)
        except NoTls as error:
            return [Finding("certificate", Status.FAILED, str(error), door.address)]
        found.append(Finding("certificate", *said, door.address))
    answers = await probe(door, question)
    return [*found, *(Finding(door.scheme, *said, door.address) for said in answers)]


async def _connect(door: Door) -> str:
    """Return why an address cannot be connected to; empty where it can."""
    try:
        async with asyncio.timeout(door.seconds):
            _, writer = await asyncio.open_connection(door.address, door.port)
    except TimeoutError:
        return f"no answer within {door.seconds:g} seconds (a firewall?)"
    except ConnectionRefusedError:
        return "nothing listens there"
    except OSError as error:
        return error.strerror or str(error)
    writer.transport.abort()
    return ""
