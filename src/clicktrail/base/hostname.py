"""Names of hosts, in one form: lower case, ASCII, without the last dot. One check for all.

`host_name` is for names that are compared, `tracking_host` for those that links point to,
`domain_name` for those that send, `smtp_name` for what a mail server calls itself. Each raises
`InvalidInput`, which says what is wrong.
"""

import ipaddress
import re

from clicktrail.errors import InvalidInput

LIMIT = 253
"""RFC 1035 § 2.3.4: characters of a name, without the last dot."""

# RFC 1123 § 2.1; with "_", which some people have.
_NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""URL § 3.5, "ends in a number checker": browsers take such a name for an IPv4 address."""

_STRANGE = frozenset("/?#@*\\ ")
"""They are of a URL, an address, or a pattern: looked for first, to say so."""

_ADVICE = "; give one such as click.example.com"


def host_name(text: str) -> str:
    """Return a name of a host (or its address), without the port that it may have.

    A name in another alphabet becomes ASCII (RFC 5891). An IPv6 address has no brackets.
    """
    return _split(text)[0]


def tracking_host(text: str) -> str:
    """Return a host, with its port where it has one, as a URL holds it (RFC 3986 § 3.2)."""
    host, port = _split(text)
    if ":" in host:
        host = f"[{host}]"
    if is_unspecified(host):
        raise InvalidInput(f"{text!r} stands for all addresses of a machine: no link leads there")
    return f"{host}:{port}" if port else host


def domain_name(text: str) -> str:
    """Return a domain that has a parent, as those that send emails have."""
    host, port = _split(text)
    if port or ":" in host or _is_address(host):
        raise _refused(text, "leave out the port" if port else "it is an address")
    if "." not in host:
        raise _refused(text, "it is one label alone")
    return host


def smtp_name(text: str) -> str:
    """Return a name that a server may say in its greeting and in EHLO (RFC 5321 § 2.3.5)."""
    host, port = _split(text)
    if port or ":" in host or _is_address(host):
        raise _refused(text, "leave out the port" if port else "it is an address")
    if "_" in host:
        raise _refused(text, "mail servers take no underscore")
    return host


def is_known_to_others(name: str) -> bool:
    """Whether a server's name can be one that others look up: they refuse those that cannot be."""
    labels = name.rstrip(".").lower().split(".")
    # RFC 6761 § 6.3; "localdomain" is what installers make up.
    return len(labels) > 1 and labels[-1] not in ("localhost", "localdomain")


def may_be_certified(name: str) -> bool:
    """Whether an authority may certify a `host_name`: it is no address, and can be public."""
    # CA/Browser Forum, Baseline Requirements § 7.1.4.2: neither internal names nor underscores.
    return is_known_to_others(name) and not _is_address(name) and "_" not in name


def a_labels(domain: str) -> str:
    """Return a domain in lower case, other alphabets as ASCII (RFC 5891); any text, as far as it
    goes: what cannot be a domain stays as it is."""
    domain = domain.rstrip(".").lower()
    if domain.isascii():
        return domain
    try:
        return _encoded(domain)
    except ValueError:
        return domain


def is_unspecified(host: str) -> bool:
    """Whether a host is ``0.0.0.0`` or ``::``, where one can listen and nobody can go."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def _split(text: str) -> tuple[str, str]:
    host, port = _without_port(text.strip())
    if port and not 0 < int(port) < 65536:
        raise _refused(text, f"there is no port {port}")
    if "%" not in host and _is_address(host):  # a scope may hold anything, "/" too
        return str(ipaddress.ip_address(host)), port
    name = host.removesuffix(".").lower()
    if not _STRANGE.isdisjoint(name):
        raise _refused(text, _why(name))
    if not name.isascii():
        try:
            name = _encoded(name)
        except ValueError as error:  # of which idna's and Unicode's are
            raise _refused(text, str(error)) from None
    if len(name) > LIMIT or not _NAME.fullmatch(name):
        raise _refused(text, _why(name))
    if _NUMBER.fullmatch(name):
        raise _refused(text, "its last label is a number, and it is no address")
    return name, port


def _encoded(name: str) -> str:
    import idna  # noqa: PLC0415 - few need its tables, which are large

    return idna.encode(name, uts46=True).decode("ascii")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _without_port(host: str) -> tuple[str, str]:
    """Return host and port of ``host:port`` and ``[address]:port`` (RFC 3986 § 3.2)."""
    name, colon, port = host.rpartition(":")
    has_port = bool(colon) and port.isascii() and port.isdigit() and len(port) < 6
    if host.startswith("["):
        name = name if has_port else host
        inside = name[1:-1]
        return (inside, port if has_port else "") if name.endswith("]") else (host, "")
    return (name, port) if has_port and ":" not in name else (host, "")


def _refused(text: str, why: str) -> InvalidInput:
    shown = text if len(text) <= LIMIT else text[:LIMIT] + "…"
    return InvalidInput(f"{shown!r} is not the name of a host: {why}{_ADVICE}")


def _why(name: str) -> str:
    """Return what is wrong with a name."""
    if not name.strip("."):
        return "it is empty"
    if "://" in name:
        return "leave out the scheme (…://)"
    if "@" in name:
        return "leave out the @ and what is before it"
    if "*" in name:
        return "no wildcard: each host has a name of its own"
    if not {"/", "?", "#", "\\"}.isdisjoint(name):
        return "leave out the path"
    if any(c.isspace() for c in name):
        return "it holds white space"
    labels = name.split(".")
    if "" in labels:
        return "it has an empty label (two dots in a row, or one at its beginning)"
    if any(label.startswith("-") or label.endswith("-") for label in labels):
        return "a label begins or ends with a hyphen"
    if len(name) > LIMIT or any(len(label) > 63 for label in labels):  # RFC 1035 § 2.3.4
        return f"it is too long: up to 63 characters a label, {LIMIT} in all"
    return "it holds characters that no name of a host has"
