"""Networks of machines that are known to look at links: a list that is shipped, and the operator's.

A file has one network (CIDR) or address a line; ``#`` begins a comment, which says whose it is.
With the word ``cloud`` behind it, it is a network of rented servers, in which there are VPNs too.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from socket import AF_INET, inet_pton
from typing import NamedTuple

from clicktrail.base.complaints import complaint
from clicktrail.errors import SettingError

Network = IPv4Network | IPv6Network

SETTING = "machine.networks_file"
CLOUD = "cloud"


class Networks:
    """A set of networks, quick to ask however many they are."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        given = tuple(networks)
        self._of = {
            version: _ranges(each for each in given if each.version == version)
            for version in (4, 6)
        }

    def __bool__(self) -> bool:
        """Whether there are any."""
        return any(firsts for firsts, _ in self._of.values())

    def __contains__(self, address: str) -> bool:
        """Whether an address, as text, is in one of them; what is no address is in none."""
        try:
            version, number = 4, int.from_bytes(inet_pton(AF_INET, address))
        except (OSError, ValueError):
            try:
                found = ipaddress.ip_address(address.partition("%")[0])
            except ValueError:
                return False
            if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
                found = found.ipv4_mapped  # RFC 4291 § 2.5.5.2
            version, number = found.version, int(found)
        firsts, lasts = self._of[version]
        at = bisect_right(firsts, number) - 1
        return at >= 0 and number <= lasts[at]


class Known(NamedTuple):
    """Known networks: of scanners, and of clouds."""

    machines: Networks
    clouds: Networks


def known_networks(path: Path | None) -> Known:
    """Return the networks that are shipped and those of an operator's file, where there is one.

    Raises `SettingError`, naming the line.
    """
    given = read(path) if path else Listed([], [])
    return Known(Networks([*shipped(), *given.machines]), Networks(given.clouds))


def shipped() -> list[Network]:
    """Return the networks that come with Clicktrail."""
    text = files(__package__).joinpath("scanner_networks.txt").read_text(encoding="utf-8")
    return parse(text, "scanner_networks.txt").machines


class Listed(NamedTuple):
    """What a file has."""

    machines: list[Network]
    clouds: list[Network]


def read(path: Path) -> Listed:
    """Return the networks in an operator's file. Raises `SettingError`, naming the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = complaint(error, path)
        raise SettingError(f"{SETTING} = {str(path)!r} cannot be read: {why}") from None
    except UnicodeDecodeError:
        raise SettingError(f"{SETTING} = {str(path)!r} is not a text in UTF-8") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Listed:
    """Return the networks in a file's text. Raises `SettingError`, naming the line."""
    found = Listed([], [])
    for number, line in enumerate(text.splitlines(), 1):
        entry, *word = line.partition("#")[0].split(maxsplit=1) or [""]
        if not entry:
            continue
        if word and word[0].strip() != CLOUD:
            entry = f"{entry} {word[0].strip()}"
        try:
            (found.clouds if word else found.machines).append(ipaddress.ip_network(entry))
        except ValueError as error:
            raise SettingError(
                f"{SETTING}: {name}, line {number}: {entry!r} is no network ({_why(error, entry)});"
                " expected one a line, such as 192.0.2.0/24 # whose it is"
            ) from None
    return found


def _why(error: ValueError, entry: str) -> str:
    if "host bits" not in str(error):
        return "not an address with an optional /length"
    return f"did you mean {ipaddress.ip_network(entry, strict=False)}?"


def _ranges(networks: Iterable[Network]) -> tuple[list[int], list[int]]:
    """Return the first and the last addresses of ranges in order, apart from one another."""
    firsts: list[int] = []
    lasts: list[int] = []
    spans = sorted((int(each.network_address), int(each.broadcast_address)) for each in networks)
    for first, last in spans:
        if lasts and first <= lasts[-1] + 1:
            lasts[-1] = max(lasts[-1], last)
        else:
            firsts.append(first)
            lasts.append(last)
    return firsts, lasts
