"""Several nodes lose one of their parts under load: each click that got its 302 is counted once."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from support.cluster import STREAM, Cluster
from support.crowd import Crowd
from support.postgres import NEEDS_POSTGRES
from support.service import wait_for

pytestmark = [NEEDS_POSTGRES, pytest.mark.long]

CLICKS = 20_000
AWAY_SECONDS = 60.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running, pytest.MonkeyPatch.context() as m:
        # As an operator has them, for the commands.
        m.setenv("CLICKTRAIL_STORE_URL", running.url)
        m.setenv("CLICKTRAIL_JOURNAL_URL", f"nats://{running.nats.servers[0].address}")
        yield running


@contextmanager
def clicks(cluster: Cluster, rate: float, least: int = CLICKS) -> Iterator[Crowd]:
    """Let people click links that are changed meanwhile; afterwards there have to be enough clicks,
    and the books be right."""
    name = cluster.front.configuration_set(types=("CLICK", "OPEN", "SUBSCRIPTION"))
    with cluster.crowd(name, rate, leave=True) as crowd:
        crowd.change()
        crowd.change()
        crowd.wait_for(500)
        crowd.wait_for_changes()
        yield crowd
        crowd.change()
        if (missing := least - len(crowd.redirected)) > 0:
            crowd.wait_for(missing, patience=120)
    cluster.check_books(name, crowd)


def wait_a_minute(crowd: Crowd) -> None:
    """Wait while people go on clicking, and are redirected."""
    until = time.monotonic() + AWAY_SECONDS
    while time.monotonic() < until:
        crowd.wait_for(50)


@pytest.mark.parametrize("name", ["redirect-1", "publisher-1"])
def test_a_node_is_killed_over_and_over(cluster: Cluster, name: str) -> None:
    with clicks(cluster, 600) as crowd:
        for _ in range(5):
            cluster.nodes[name].kill()
            crowd.change()
            crowd.wait_for(1500)
            cluster.nodes[name].start()
            crowd.wait_for(1500)


def test_the_leader_of_the_stream_is_killed_over_and_over(cluster: Cluster) -> None:
    with clicks(cluster, 600) as crowd:
        for _ in range(5):
            leader = cluster.nats.leader(STREAM)
            leader.kill()
            crowd.change()
            crowd.wait_for(1500)
            leader.start()
            crowd.wait_for(1500)


def test_the_whole_broker_is_away_for_a_minute(cluster: Cluster) -> None:
    with clicks(cluster, 350) as crowd, ExitStack() as back:
        for server in cluster.nats.servers:
            server.kill()
            back.callback(server.start)
        wait_a_minute(crowd)


def test_postgresql_is_killed_and_away_for_a_minute(cluster: Cluster) -> None:
    with clicks(cluster, 350) as crowd:
        cluster.postgres.stop("immediate")
        wait_a_minute(crowd)
        cluster.postgres.start()


def test_keys_rotate_and_nodes_restart_one_by_one_and_no_link_fails(cluster: Cluster) -> None:
    front = cluster.front

    def all_have(key: int) -> bool | None:
        nodes = json.loads(front.cli("nodes", "list", "--json"))
        return all(key in node["keys"] for node in nodes) or None

    with (
        clicks(cluster, 400, 5000) as crowd,
        cluster.crowd(front.configuration_set(), 1) as sent_before,
    ):
        front.cli("keys", "add")
        for name, node in cluster.nodes.items():
            if node is not front:
                shutil.copy(front.data / "keys.json", node.data)
            if name != "front":
                node.stop()
                crowd.wait_for(500)
                node.start()
        wait_for(lambda: all_have(2), "key 2 on every node")
        front.cli("keys", "seal", "2")
        with cluster.crowd(front.configuration_set(), 50) as sent_after:
            sent_after.wait_for(200)
        sent_before.wait_for(1)
        assert sent_before.other == sent_after.other == Counter()
        key = json.loads(front.cli("link", "open", sent_after.paths[0], "--json"))["key"]
        assert key == 2


def test_the_network_between_some_nodes_and_the_broker_is_parted_for_a_minute(
    cluster: Cluster,
) -> None:
    redirect, publisher = (cluster.networks[name] for name in ("redirect-2", "publisher-2"))
    with clicks(cluster, 350) as crowd:
        with redirect.parted(), publisher.parted():
            wait_a_minute(crowd)
        assert redirect.swallowed > 0
        assert publisher.swallowed > 0
