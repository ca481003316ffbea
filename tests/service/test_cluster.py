"""Several nodes lose one of their parts under load: each click that got its 302 is counted once."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from support.cluster import STREAM, Cluster
from support.crowd import Crowd
from support.postgres import NEEDS_POSTGRES

pytestmark = [NEEDS_POSTGRES, pytest.mark.long]

CLICKS = 20_000
AWAY_SECONDS = 60.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running, pytest.MonkeyPatch.context() as m:
        m.setenv("CLICKTRAIL_STORE_URL", running.url)  # as an operator has it, for the commands
        yield running


@contextmanager
def clicks(cluster: Cluster, rate: float) -> Iterator[Crowd]:
    """Let people click; afterwards there have to be enough clicks, and the books be right."""
    name = cluster.front.configuration_set()
    with cluster.crowd(name, rate) as crowd:
        crowd.wait_for(500)
        yield crowd
        if (missing := CLICKS - len(crowd.redirected)) > 0:
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
            crowd.wait_for(1500)
            cluster.nodes[name].start()
            crowd.wait_for(1500)


def test_the_leader_of_the_stream_is_killed_over_and_over(cluster: Cluster) -> None:
    with clicks(cluster, 600) as crowd:
        for _ in range(5):
            leader = cluster.nats.leader(STREAM)
            leader.kill()
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


@pytest.mark.parametrize("name", ["redirect-2", "publisher-2"])
def test_the_network_between_a_node_and_the_broker_is_parted_for_a_minute(
    cluster: Cluster, name: str
) -> None:
    network = cluster.networks[name]
    with clicks(cluster, 350) as crowd:
        with network.parted():
            wait_a_minute(crowd)
        assert network.swallowed > 0
