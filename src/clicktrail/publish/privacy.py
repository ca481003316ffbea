"""How much of what tells people apart is kept of a click, and told."""

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import ua_parser

from clicktrail.model import Click

_PREFIX = {4: 24, 6: 48}
"""Bits of an address that stay when it is truncated: a network, not a household."""


def truncated(ip: str) -> str:
    """Return the network of an address: ``192.0.2.0``, ``2001:db8:1::``; ``""`` for no address."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    network = ipaddress.ip_network((address, _PREFIX[address.version]), strict=False)
    return str(network.network_address)


@lru_cache(4096)
def family(user_agent: str) -> str:
    """Return the family of a browser without its version: ``Firefox``; ``""`` if it is unknown."""
    found = ua_parser.parse_user_agent(user_agent[:1000])
    return found.family if found is not None else ""


def _full(text: str) -> str:
    return text


def _none(_: str) -> str:
    return ""


IP: dict[str, Callable[[str], str]] = {"full": _full, "truncate": truncated, "none": _none}
USER_AGENT: dict[str, Callable[[str], str]] = {"full": _full, "family": family, "none": _none}


class Privacy:
    """What the settings ``privacy.ip`` and ``privacy.user_agent`` say."""

    def __init__(self, ip: str = "full", user_agent: str = "full") -> None:
        self._ip = IP[ip]
        self._user_agent = USER_AGENT[user_agent]
        self._keeps_all = ip == user_agent == "full"

    def of(self, click: Click) -> Click:
        """Return the click as it is kept and told."""
        if self._keeps_all:
            return click
        return replace(click, ip=self._ip(click.ip), user_agent=self._user_agent(click.user_agent))
