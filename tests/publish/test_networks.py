"""Networks of known machines: the list that is shipped, and an operator's file."""

import ipaddress
import random
from pathlib import Path

import pytest

from clicktrail.base.ids import new_id
from clicktrail.errors import SettingError
from clicktrail.model import Click
from clicktrail.publish.networks import (
    Network,
    Networks,
    known_networks,
    parse,
    read,
    shipped,
)
from clicktrail.publish.visitor_verdict import Judge, judgement
from support.publishing import BROWSER


def networks(*texts: str) -> Networks:
    return Networks([ipaddress.ip_network(text) for text in texts])


def test_an_address_is_in_a_network_from_its_first_to_its_last() -> None:
    found = networks("192.0.2.64/26", "2001:db8::/32", "198.51.100.7/32")
    inside = ["192.0.2.64", "192.0.2.127", "198.51.100.7", "2001:db8::", "2001:db8:ffff::1"]
    outside = ["192.0.2.63", "192.0.2.128", "198.51.100.6", "2001:db7::1", "2001:db9::", "0.0.0.0"]
    assert [address for address in inside + outside if address in found] == inside


def test_ipv4_in_ipv6_clothes_and_scopes_are_seen_through() -> None:
    assert "::ffff:192.0.2.1" in networks("192.0.2.0/24")
    assert "fe80::1%eth0" in networks("fe80::/10")


@pytest.mark.parametrize("text", ["", "unknown", "192.0.2", "192.0.2.0/24", "localhost"])
def test_what_is_no_address_is_in_no_network(text: str) -> None:
    assert text not in networks("0.0.0.0/0", "::/0")


def test_no_networks_hold_no_address() -> None:
    assert "192.0.2.1" not in Networks()
    assert "::1" not in Networks()


def test_it_agrees_with_looking_at_each_network() -> None:
    chance = random.Random(7)
    made: list[Network] = []
    for _ in range(400):
        size = chance.randrange(8, 33)
        first = chance.getrandbits(12) << 20 >> (32 - size) << (32 - size)
        made.append(ipaddress.ip_network((first, size)))
    found = Networks(made)
    for _ in range(3000):
        network = chance.choice(made)
        edge = int(network.network_address) + chance.choice([-1, 0, network.num_addresses])
        address = ipaddress.ip_address(max(0, min(edge, 2**32 - 1)))
        assert (str(address) in found) == any(address in each for each in made)


def test_each_shipped_network_is_public_and_says_whose_it_is() -> None:
    found = shipped()
    assert found
    assert all(network.is_global and network.prefixlen >= 14 for network in found)
    text = (Path(__file__).parents[2] / "src/clicktrail/publish/scanner_networks.txt").read_text()
    entries = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(entries) == len(found)
    assert all("  # " in entry for entry in entries)
    assert "https://" in text


def test_comments_empty_lines_and_single_addresses_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "networks"
    file.write_text("\ufeff# ours\r\n\r\n 192.0.2.0/24 # the gateway\r\n2001:db8::1#one\r\n")
    assert [str(network) for network in read(file).machines] == ["192.0.2.0/24", "2001:db8::1/128"]


def test_clouds_are_apart_from_scanners(tmp_path: Path) -> None:
    file = tmp_path / "networks"
    file.write_text("192.0.2.0/24\n198.51.100.0/24 cloud # rented\n2001:db8::/32\tcloud\n")
    known = known_networks(file)
    assert "192.0.2.1" in known.machines
    assert "192.0.2.1" not in known.clouds
    for address in ("198.51.100.9", "2001:db8::9"):
        assert address in known.clouds
        assert address not in known.machines
    judge = Judge(*known)
    at = new_id()
    reasons = {
        address: judgement(judge.signs(Click(at, "m", 0, "u", 0, address, BROWSER), None)).reasons
        for address in ("192.0.2.1", "198.51.100.9", "203.0.113.1")
    }
    assert list(reasons.values()) == [("network",), ("cloud",), ()]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("192.0.2.0/33", "not an address with an optional /length"),
        ("192.0.2.1/24", "did you mean 192.0.2.0/24?"),
        ("scanner.example", "not an address with an optional /length"),
        ("192.0.2.0-192.0.2.9", "not an address with an optional /length"),
        ("192.0.2.0/24 clouds", "not an address with an optional /length"),
        ("192.0.2.0/24 Example Corp.", "not an address with an optional /length"),
    ],
)
def test_a_bad_entry_is_named_with_its_line(tmp_path: Path, entry: str, why: str) -> None:
    file = tmp_path / "networks"
    file.write_text(f"# mine\n192.0.2.0/24\n\n{entry} # whose\n")
    with pytest.raises(SettingError) as caught:
        read(file)
    message = str(caught.value)
    assert f"machine.networks_file: {file}, line 4: {entry!r} is no network ({why})" in message


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"machine\.networks_file = .* cannot be read: No such"):
        read(tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingError, match="is not a text in UTF-8"):
        read(tmp_path / "binary")


def test_the_name_in_an_error_is_the_files() -> None:
    with pytest.raises(SettingError, match=r"list, line 1: 'x'"):
        parse("x", "list")
