"""``clicktrail networks``: the operator's file of networks, from files that others publish.

Understood are lists with one network a line, tables (CSV) whose first column is one, and JSON with
networks anywhere: as clouds, security services and Apple publish theirs.
"""

import ipaddress
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from clicktrail.base.complaints import complaint
from clicktrail.base.json_input import InvalidJson, read_json
from clicktrail.commands.shared.common import settings_of
from clicktrail.errors import InvalidInput

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Range = tuple[int, int, int]
"""IP version, the first and the last address."""

MOST_BYTES = 64 * 1024 * 1024
WIDEST = {4: 8, 6: 16}
"""What is wider is no service's network, but a mistake that makes machines of half the world."""
MARK = "# Written by `clicktrail networks update`: it is written anew each time."

networks = typer.Typer(help="Networks of machines that look at links.", no_args_is_help=True)


@networks.callback()
def _group() -> None:
    """Networks of machines that look at links."""


@networks.command("update")
def update(
    context: typer.Context,
    scanners: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Networks of scanners: a machine's clicks."),
    ] = None,
    clouds: Annotated[
        list[Path] | None,
        typer.Option("--clouds", metavar="FILE", help="Networks of clouds: suspect clicks."),
    ] = None,
    people: Annotated[
        list[Path] | None,
        typer.Option(
            "--people",
            metavar="FILE",
            help="Networks that are taken out: of Apple's private relay, of VPNs.",
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="The file to write: default, machine.networks_file.")
    ] = None,
) -> None:
    """Write machine.networks_file anew from files that you have downloaded."""
    if not scanners and not clouds:
        raise InvalidInput("give files with networks: --from FILE, --clouds FILE")
    path = to or settings_of(context)["machine.networks_file"]
    if not path:
        raise InvalidInput("say which file to write: set machine.networks_file, or give --to FILE")
    _check_ours(path)
    spared = _merged(_ranges(people or ()))
    known = _merged(_ranges(scanners or ()))
    found = [
        ("scanners", "", without(known, spared), scanners or []),
        ("clouds", " cloud", without(_merged(_ranges(clouds or ())), spared + known), clouds or []),
    ]
    lines = [MARK]
    for what, word, ranges, files in found:
        if files:
            lines.append(f"# {what}: {', '.join(each.name for each in files)}")
            lines += [f"{network}{word}" for each in ranges for network in _networks(each)]
    _write(path, "\n".join(lines) + "\n")
    count = sum(not line.startswith("#") for line in lines)
    typer.echo(f"{path}: {count} networks. A publisher that runs reads them on SIGHUP.")


def _check_ours(path: Path) -> None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline().rstrip("\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {complaint(error, path)}") from None
    if first != MARK:
        raise InvalidInput(
            f"{path} was written by somebody else, and would be written anew: move it away, and"
            " give it with --from"
        )


def _write(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {complaint(error, path)}") from None


def _ranges(paths: Iterable[Path]) -> Iterator[Range]:
    for path in paths:
        any_found = False
        for network in read_networks(path):
            any_found = True
            first, last = int(network.network_address), int(network.broadcast_address)
            yield network.version, first, last
        if not any_found:
            raise InvalidInput(f"{path} has no network, such as 192.0.2.0/24")


def read_networks(path: Path) -> Iterator[Network]:
    """Yield the networks of a file. Raises `InvalidInput`, naming what is wrong and where."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InvalidInput(f"{path} has more than {MOST_BYTES >> 20} MiB: no list is so long")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {complaint(error, path)}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not a text in UTF-8") from None
    found = _of_json(path, text) if text.lstrip()[:1] in ("{", "[") else _of_lines(path, text)
    for network in found:
        if network.prefixlen < WIDEST[network.version]:
            raise InvalidInput(f"{path}: {network} is too wide for a network of one service")
        yield network


def _of_json(path: Path, text: str) -> Iterator[Network]:
    try:
        waiting = [read_json(text, object)]
    except InvalidJson as error:
        raise InvalidInput(f"{path}: {error}") from None
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and "/" in value and (network := _network(value)):
            yield network


def _of_lines(path: Path, text: str) -> Iterator[Network]:
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        first = entry.partition(",")[0].partition(";")[0].split(maxsplit=1)
        if not first:
            continue
        if network := _network(first[0].strip('"')):
            yield network
        elif number > 1 or first[0] == entry:  # the first line of a table may name its columns
            raise InvalidInput(f"{path}, line {number}: {json.dumps(entry[:80])} is no network")


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _merged(ranges: Iterable[Range]) -> list[Range]:
    """Return ranges in order, apart from one another."""
    found: list[Range] = []
    for version, first, last in sorted(ranges):
        if found and found[-1][0] == version and first <= found[-1][2] + 1:
            found[-1] = version, found[-1][1], max(found[-1][2], last)
        else:
            found.append((version, first, last))
    return found


def without(ranges: list[Range], others: Iterable[Range]) -> list[Range]:
    """Return what is left of ranges without others."""
    found: list[Range] = []
    taken = _merged(others)
    at = 0
    for version, begin, last in ranges:
        first = begin
        while at < len(taken) and (taken[at][0], taken[at][2]) < (version, begin):
            at += 1
        place = at
        while place < len(taken) and taken[place][0] == version and taken[place][1] <= last:
            if taken[place][1] > first:
                found.append((version, first, taken[place][1] - 1))
            first = taken[place][2] + 1
            place += 1
        if first <= last:
            found.append((version, first, last))
    return found


def _networks(each: Range) -> Iterator[Network]:
    version, first, last = each
    kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    return ipaddress.summarize_address_range(kind(first), kind(last))
