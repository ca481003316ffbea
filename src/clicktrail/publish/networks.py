"""Networks of machines that are known to look at links: a list that is shipped, and the operator's.

A file has one network (CIDR) or address a line; ``#`` begins a comment, which says whose it is.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from clicktrail.base.complaints import complaint
from clicktrail.errors import SettingError

Network = IPv4Network | IPv6Network

SETTING = "machine.networks_file"


class Networks:
    """A set of networks, quick to ask however many they are."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        given = tuple(networks)
        self._of = {
            version: _ranges(each for each in given if each.version == version)
            for version in (4, 6)
        }

    def __contains__(self, address: str) -> bool:
        """Whether an address, as text, is in one of them; what is no address is in none."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped  # RFC 4291 § 2.5.5.2
        firsts, lasts = self._of[found.version]
        at = bisect_right(firsts, int(found)) - 1
        return at >= 0 and int(found) <= lasts[at]


def known_machines(path: Path | None) -> Networks:
    """Return the networks that are shipped and those of an operator's file, where there is one.

    Raises `SettingError`, naming the line.
    """
    return Networks([*shipped(), *(read(path) if path else ())])


def shipped() -> list[Network]:
    """Return the networks that come with Clicktrail."""
    text = files(__package__).joinpath("scanner_networks.txt").read_text(encoding="utf-8")
    return parse(text, "scanner_networks.txt")


def read(path: Path) -> list[Network]:
    """Return the networks in an operator's file. Raises `SettingError`, naming the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = complaint(error, path)
        raise SettingError(f"{SETTING} = {str(path)!r} cannot be read: {why}") from None
    except UnicodeDecodeError:
        raise SettingError(f"{SETTING} = {str(path)!r} is not a text in UTF-8") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> list[Network]:
    """Return the networks in a file's text. Raises `SettingError`, naming the line."""
    found: list[Network] = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            found.append(ipaddress.ip_network(entry))
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
