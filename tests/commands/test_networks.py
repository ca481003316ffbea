"""``clicktrail networks update``: an operator's file from files of others."""

import ipaddress
import json
import random
from pathlib import Path

import pytest
from typer.testing import Result

from clicktrail.commands.upkeep.networks import MOST_BYTES, _merged, without
from clicktrail.publish.networks import read
from support.command_line import invoke

TEXT = "# a gateway's\n192.0.2.0/25\n\n192.0.2.128/25 # its other half\n2001:db8::1\n"
CLOUD = {
    "syncToken": "1",
    "prefixes": [
        {"ip_prefix": "198.18.0.0/15", "region": "eu/north"},
        {"ipv4Prefix": "192.0.2.0/24"},
    ],
    "ipv6_prefixes": [{"ipv6_prefix": "2001:db8:7::/48"}],
}
RELAY = 'network,country\n198.18.4.0/24,GB,GB-ENG,London,\n"2001:db8:7:1::/64",DE,,\n'


def update(*arguments: str | Path) -> Result:
    return invoke(["networks", "update", *map(str, arguments)])


def test_lists_tables_and_json_come_to_one_file_without_people(tmp_path: Path) -> None:
    files = {"gateway.txt": TEXT, "cloud.json": json.dumps(CLOUD), "relay.csv": RELAY}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    to = tmp_path / "networks"
    given = ("--from", tmp_path / "gateway.txt", "--clouds", tmp_path / "cloud.json")
    for _ in range(2):  # its own file it writes anew
        done = update(*given, "--people", tmp_path / "relay.csv", "--to", to)
        assert done.exit_code == 0, done.output
        found = read(to)
        assert [str(each) for each in found.machines] == ["192.0.2.0/24", "2001:db8::1/128"]
        clouds = list(ipaddress.collapse_addresses(n for n in found.clouds if n.version == 4))
        assert sum(each.num_addresses for each in clouds) == 2 * 65536 - 256
        assert not any(each.overlaps(ipaddress.ip_network("198.18.4.0/24")) for each in clouds)
        assert sum(n.num_addresses for n in found.clouds if n.version == 6) == 2**80 - 2**64


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("192.0.2.0/24\nnonsense\n", 'line 2: "nonsense" is no network'),
        ("0.0.0.0/0\n", "0.0.0.0/0 is too wide for a network of one service"),
        ('{"prefixes": ["192.0.2.0/24"', "it is not JSON"),
        ("[" * 100_000, "it is nested too deep"),
        ('{"prefixes": ["https://example.com/"]}', "has no network, such as 192.0.2.0/24"),
        ("# nothing\n", "has no network, such as 192.0.2.0/24"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_nothing_is_written(
    tmp_path: Path, text: str, why: str
) -> None:
    given, to = tmp_path / "given", tmp_path / "networks"
    given.write_text(text)
    done = update("--from", given, "--to", to)
    assert done.exit_code
    assert why in done.output
    assert str(given) in done.output
    assert not to.exists()


def test_a_file_is_no_longer_than_lists_are(tmp_path: Path) -> None:
    with (tmp_path / "given").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    done = update("--from", tmp_path / "given", "--to", tmp_path / "networks")
    assert "has more than 64 MiB" in done.output


def test_what_somebody_wrote_is_not_overwritten(tmp_path: Path) -> None:
    to = tmp_path / "networks"
    to.write_text("192.0.2.0/24  # mine\n")
    (tmp_path / "given").write_text(TEXT)
    done = update("--from", tmp_path / "given", "--to", to)
    assert "was written by somebody else" in done.output
    assert to.read_text() == "192.0.2.0/24  # mine\n"


def test_what_is_taken_out_is_what_looking_at_each_address_takes_out() -> None:
    chance = random.Random(3)

    def some() -> list[tuple[int, int, int]]:
        starts = [(chance.choice((4, 6)), chance.randrange(200)) for _ in range(12)]
        return _merged((v, first, first + chance.randrange(12)) for v, first in starts)

    def all_of(ranges: list[tuple[int, int, int]]) -> set[tuple[int, int]]:
        return {(v, n) for v, first, last in ranges for n in range(first, last + 1)}

    for _ in range(300):
        ranges, others = some(), some()
        assert all_of(without(ranges, others)) == all_of(ranges) - all_of(others)
