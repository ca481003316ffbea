"""Reads URLs of servers. What is wrong with one is said, and never what is in it: a password."""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

from clicktrail.errors import InvalidInput


class UrlUnusable(InvalidInput):
    """What is wrong with a URL, in words that hold nothing of it."""


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """The parts of a URL that begins with ``scheme://[login@]host[:port]``."""

    scheme: str
    login: str
    hosts: tuple[tuple[str, int | None], ...]
    """Each host, an IPv6 address without its brackets, and its port where it has one."""
    rest: str
    """What follows: path, query, fragment."""


def read_url(
    text: str, schemes: Collection[str], *, several: bool = False, login_elsewhere: str = ""
) -> ServerUrl:
    """Return the parts of a URL of a server, or of ``several``, divided by commas.

    ``login_elsewhere`` says where user name and password belong, if not in there. Raises
    `UrlUnusable`.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in schemes:
        raise UrlUnusable(f"it does not begin with {' or '.join(f'{s}://' for s in schemes)}")
    if several:
        rest = rest.replace(", ", ",")
    if any(c.isspace() or not c.isprintable() for c in rest):
        raise UrlUnusable("it holds white space or control characters")
    authority = re.match("[^/?#]*", rest)  # RFC 3986 § 3.2
    assert authority is not None
    login, at, names = authority[0].rpartition("@")
    rest = rest[authority.end() :]
    if login_elsewhere and (at or "@" in rest):
        raise UrlUnusable(login_elsewhere)
    # RFC 3986 § 2.1. Where the login is cut short, what is left of it would be host and port.
    hint = " (in a password, @ : / ? # are written %40 %3A %2F %3F %23)" if "@" in text else ""
    if several and "@" in login:
        raise UrlUnusable(f"a login stands once, before all servers{hint}")
    found = names.split(",") if several else [names]
    return ServerUrl(scheme, login, tuple(_host_and_port(each, hint) for each in found), rest)


_HOST_AND_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]*))(?::(.*))?")


def _host_and_port(text: str, hint: str) -> tuple[str, int | None]:
    found = _HOST_AND_PORT.fullmatch(text)
    if found is None:
        raise UrlUnusable(f"[ and ] stand around an IPv6 address, and nothing else{hint}")
    literal, name, port = found.groups()
    if literal is not None:
        try:
            ipaddress.IPv6Address(literal)
        except ValueError:
            raise UrlUnusable(f"what stands between [ and ] is no IPv6 address{hint}") from None
    if port is None:
        return literal or name, None
    if ":" in port and literal is None:
        raise UrlUnusable(f"its port is not a number, or [ and ] lack around IPv6{hint}")
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise UrlUnusable(f"its port is not a number from 1 to 65535{hint}")
    return literal or name, int(port)
