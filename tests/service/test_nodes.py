"""Several nodes and their keys: no link is sealed with a key that a node cannot open."""

import http.client
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clicktrail.keys.ringfile import KeyFile
from support.command_line import invoke
from support.postgres import NEEDS_POSTGRES, Postgres
from support.service import PATIENCE, Service, email_with, hrefs, html_of, wait_for
from support.stream_servers import Nats

pytestmark = NEEDS_POSTGRES


class Two:
    """A node with everything, and one that only redirects and has no store."""

    def __init__(self, folder: Path, broker: str, store: str) -> None:
        journal = ("--journal-url", f"nats://{broker}")
        self.first = Service(folder / "one", *journal, environment={"CLICKTRAIL_STORE_URL": store})
        self.second = Service(folder / "two", *journal, "--role", "redirect")

    def copy_keys(self) -> None:
        self.second.data.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.first.data / "keys.json", self.second.data)

    def refused(self, *arguments: str) -> str:
        """Run a command that must fail on the first node; return what it says."""
        done = invoke([*arguments, "--data", str(self.first.data)])
        assert done.exit_code == 1, done.output
        return done.output

    def nodes(self) -> dict[str, list[int]]:
        """Return the keys of the nodes by the last word of their names: their roles."""
        found = json.loads(self.first.cli("nodes", "list", "--json"))
        return {node["name"].rpartition(" ")[2]: node["keys"] for node in found}

    def sent(self, name: str) -> str:
        """Send an email; return the path of its link."""
        email = self.first.send(email_with('<a href="http://a.example">x</a>', name))
        [link] = hrefs(html_of(email))
        return link[link.index("/", len("https://")) :]

    def answers(self, path: str) -> list[int]:
        """Return how both answer a click."""
        both = (self.first, self.second)
        return [each.request(f"http://127.0.0.1:{each.http}{path}").status for each in both]


@pytest.fixture
def two(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    store = postgres.migrated()
    with Nats(tmp_path / "nats") as broker:
        two = Two(tmp_path, broker.address, store)
        with two.first:
            # As an operator has them, for the commands.
            monkeypatch.setenv("CLICKTRAIL_STORE_URL", store)
            monkeypatch.setenv("CLICKTRAIL_JOURNAL_URL", f"nats://{broker.address}")
            monkeypatch.setenv("COLUMNS", "1000")
            yield two


def test_a_new_key_seals_when_every_node_can_open_it_and_not_before(two: Two) -> None:
    name = two.first.configuration_set()
    two.copy_keys()
    with two.second:
        wait_for(lambda: "redirect" in two.nodes() or None, "the second node")
        assert "clicktrail keys add" in two.refused("keys", "rotate")
        assert "Key 2 opens" in two.first.cli("keys", "add")
        said = two.refused("keys", "seal", "2")
        assert f"{two.second.data} redirect" in said
        old = two.sent(name)
        assert two.answers(old) == [302, 302]  # key 2 is there, and seals nothing
        assert monitored(two.second, "/readyz")[0] == 200
        counted = monitored(two.second, "/metrics")[1].splitlines()
        assert 'clicktrail_redirects_total{status="302"} 1.0' in counted

        two.second.kill()
        assert f"{two.second.data} redirect" in two.refused("keys", "seal", "2")
        two.copy_keys()
        two.second.start()
        wait_for(lambda: two.nodes()["redirect"] == [1, 2] or None, "key 2 at the second node")
        wait_for(lambda: all(k == [1, 2] for k in two.nodes().values()) or None, "it everywhere")
        assert "Key 2 seals" in two.first.cli("keys", "seal", "2")
        new = two.sent(name)
        assert json.loads(two.first.cli("link", "open", new, "--json"))["key"] == 2
        assert two.answers(old) == two.answers(new) == [302, 302]
    assert "redirect" not in two.nodes()  # it has left in an orderly way


def test_a_node_without_a_store_is_told_of_changed_links_and_remembers_them(two: Two) -> None:
    path = two.sent(two.first.configuration_set())
    two.copy_keys()

    def leads(node: Service) -> str | None:
        return node.request(f"http://127.0.0.1:{node.http}{path}", "HEAD").location

    with two.second:
        two.first.cli("link", "replace", "http://a.example", "http://b.example/")
        for node in (two.first, two.second):
            wait_for(lambda n=node: leads(n) == "http://b.example/" or None, "it elsewhere")  # type: ignore[misc]
        two.second.kill()
        two.first.kill()  # nobody is there to ask
        two.second.start()
        assert leads(two.second) == "http://b.example/"
        two.first.start()
        [change] = json.loads(two.first.cli("link", "changes", "--json"))
        two.first.cli("link", "undo", change["id"])
        wait_for(lambda: leads(two.second) == "http://a.example" or None, "it as it was")


def test_a_node_that_is_gone_for_good_is_forgotten_by_name(two: Two) -> None:
    two.copy_keys()
    two.second.start()
    wait_for(lambda: "redirect" in two.nodes() or None, "the second node")
    two.second.kill()
    two.first.cli("keys", "add")
    [gone] = [
        node["name"]
        for node in json.loads(two.first.cli("nodes", "list", "--json"))
        if node["name"].endswith(" redirect")
    ]
    assert gone in two.refused("keys", "seal", "2")
    two.first.cli("nodes", "forget", gone, "--yes")
    assert "no node" in two.refused("nodes", "forget", gone, "--yes")
    assert gone not in two.first.cli("nodes", "list")


def test_keys_that_another_node_has_are_not_lost(two: Two) -> None:
    name = two.first.configuration_set()
    old = two.sent(name)
    two.copy_keys()
    with two.second:
        wait_for(lambda: "redirect" in two.nodes() or None, "the second node")
        two.first.kill()
        keys = two.first.data / "keys.json"
        keys.write_bytes(keys.read_bytes()[:40])
        said = two.refused("keys", "begin-anew", "--yes")
        assert f"{two.second.data} redirect has them" in said
        assert keys.stat().st_size == 40, "nothing was done"
        shutil.copy(two.second.data / "keys.json", keys)
        two.first.start()
        assert two.answers(old) == [302, 302]
        two.first.kill()
        two.second.kill()
    # All of it burns down: both are in the register, and only the other can have had a copy.
    keys.unlink()
    [gone] = [
        node["name"]
        for node in json.loads(two.first.cli("nodes", "list", "--json"))
        if node["name"].endswith(" redirect")
    ]
    two.first.cli("nodes", "forget", gone, "--yes")
    assert "Key 2 in" in two.first.cli("keys", "begin-anew", "--yes")
    two.first.start()
    new = two.sent(name)
    # The other one has the old keys still: it says so, and who opens with it is not sent there.
    two.second.start()
    wait_for(
        lambda: monitored(two.second, "/readyz/redirect")[0] == 503 or None, "a node out of service"
    )
    assert "keys of nodes" in monitored(two.second, "/readyz")[1]
    assert two.answers(new) == [302, 404]
    two.copy_keys()
    wait_for(lambda: monitored(two.second, "/readyz/redirect")[0] == 200 or None, "it back")
    wait_for(lambda: two.answers(new) == [302, 302] or None, "its new keys")
    assert two.answers(old) == [404, 404]
    two.second.stop()


def monitored(node: Service, path: str) -> tuple[int, str]:
    with closing(
        http.client.HTTPConnection("127.0.0.1", node.monitor, timeout=PATIENCE)
    ) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def other_keys(node: Service) -> None:
    node.data.mkdir(parents=True, exist_ok=True)
    KeyFile(node.data / "keys.json").create_if_missing()


def test_nodes_whose_keys_differ_say_so(two: Two, tmp_path: Path) -> None:
    wait_for(lambda: two.nodes() or None, "the first node")
    other_keys(two.second)
    with two.second:

        def why() -> str | None:
            status, text = monitored(two.second, "/readyz")
            return text if status == 503 else None

        assert "copy that file" in wait_for(why, "a node that is not ready")
        assert monitored(two.first, "/readyz")[0] == 200, "the others are not to blame"
    third = Service(tmp_path / "three", "--role", "smtp")
    for why_not in ("emails were sent with its keys", "sealed with key 1, which is not in"):
        with pytest.raises(AssertionError, match=why_not):
            third.start()
        third.wait()
        other_keys(third)
