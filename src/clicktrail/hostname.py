"""Names of hosts, in one form: lower case, ASCII, without a port and without the last dot."""

import ipaddress
import re
from contextlib import suppress

from clicktrail.errors import InvalidInput

LIMIT = 253
"""RFC 1035 § 2.3.4: characters of a name, without the last dot."""

# RFC 1123 § 2.1; with "_", which some people have.
_NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)


def host_name(text: str) -> str:
    """Return a name of a host (or its address) in that form. Raises `InvalidInput` for others.

    A name in another alphabet becomes ASCII (RFC 5891). An IPv6 address has no brackets.
    """
    host = _without_port(text.strip())
    if "%" not in host:  # a scope (fe80::1%eth0) may hold anything, "/" too
        with suppress(ValueError):
            return str(ipaddress.ip_address(host))
    name = host.removesuffix(".").lower()
    if not name.isascii():
        import idna  # noqa: PLC0415 - few need its tables, which are large

        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise InvalidInput(f"{text!r} is not the name of a host: {error}") from None
    if len(name) > LIMIT or not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{text!r} is not the name of a host: give one such as click.example.com"
        )
    return name


def _without_port(host: str) -> str:
    """Return the host of ``host:port`` and ``[address]:port`` (RFC 3986 § 3.2)."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and ":" not in name and port.isdigit() else host
