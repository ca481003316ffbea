"""What the owner of a domain has said of it elsewhere: who may certify it, and https alone."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.resolver
import httpcore

from clicktrail.base.redact import reason_of
from clicktrail.commands.domains.findings import Door, Finding, Status
from clicktrail.commands.domains.probe import get

_AUTHORITIES = {
    "letsencrypt.org": "letsencrypt.org",
    "pki.goog": "pki.goog",
    "zerossl.com": "sectigo.com",
    "buypass.com": "buypass.com",
}
"""What authorities call themselves in CAA records, by the domain of their directory."""

Resolver = dns.asyncresolver.Resolver


async def authorized(
    name: str, directory: str, resolver: Resolver, seconds: float
) -> list[Finding]:
    """Say whether CAA records let the authority of a directory certify a name (RFC 8659)."""
    # § 3: those of the name itself, else of the nearest domain above it that has any.
    domain = name
    while domain:
        try:
            answer = await resolver.resolve(f"{domain}.", "CAA", lifetime=seconds, search=False)
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            domain = domain.partition(".")[2]
            continue
        except dns.exception.DNSException as error:
            text = f"the CAA records of {domain} cannot be told: {reason_of(error)}"
            return [Finding("caa", Status.WARNING, f"{text}; authorities refuse then")]
        values = [each.value.decode("ascii", "replace") for each in answer if each.tag == b"issue"]
        return [_judged(domain, values, directory)] if values else []
    return []


def _judged(domain: str, values: Sequence[str], directory: str) -> Finding:
    # § 4.2: parameters follow the name; no name is nobody.
    named = {value.partition(";")[0].strip().lower() for value in values} - {""}
    told = ", ".join(sorted(named)) or "nobody"
    host = urlsplit(directory).hostname or ""
    authority = next((who for at, who in _AUTHORITIES.items() if f".{host}".endswith(f".{at}")), "")
    if not authority:
        text = f"the CAA records of {domain} let {told} certify it: is {host} one of them?"
        return Finding("caa", Status.NOTE, text)
    if authority in named:
        return Finding("caa", Status.OK, f"the CAA records of {domain} let {authority} certify it")
    text = (
        f"the CAA records of {domain} let {told} certify it, and not {authority}: add"
        f' {domain} CAA 0 issue "{authority}"'
    )
    return Finding("caa", Status.FAILED, text)


async def only_https(
    name: str,
    port: int,
    resolve: Callable[[str], Awaitable[Sequence[str]]],
    seconds: float,
) -> list[Finding]:
    """Warn where a domain above a name tells browsers to use https alone (RFC 6797 § 6.1).

    They then open http links of the name over https.
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        labels = name.split(".")
    else:
        return []
    parents = [".".join(labels[start:]) for start in range(1, len(labels) - 1)]
    found = await asyncio.gather(*(_policy(each, port, resolve, seconds) for each in parents))
    return [
        Finding(
            "hsts",
            Status.WARNING,
            f"https://{parent} tells browsers to use https alone, below it too"
            " (Strict-Transport-Security with includeSubDomains): http links of this domain are"
            " opened over https, and work only where that is served",
        )
        for parent, said in zip(parents, found, strict=True)
        if said
    ]


async def _policy(
    parent: str,
    port: int,
    resolve: Callable[[str], Awaitable[Sequence[str]]],
    seconds: float,
) -> bool:
    try:
        for address in (await resolve(parent))[:1]:
            answer = await get(Door(parent, "https", address, port, seconds), "/")
            return _includes_below(answer.headers.get("strict-transport-security", ""))
    except (dns.exception.DNSException, OSError, httpcore.NetworkError, httpcore.ProtocolError):
        pass  # it has no https, or no name: then it has no policy either
    except httpcore.TimeoutException:
        pass
    return False


def _includes_below(header: str) -> bool:
    words = [word.strip().lower() for word in header.split(";")]
    ages = [word.partition("=")[2].strip('" ') for word in words if word.startswith("max-age")]
    return "includesubdomains" in words and bool(ages) and ages[0].isdigit() and int(ages[0]) > 0
