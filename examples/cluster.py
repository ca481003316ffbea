"""Clicktrail on several nodes, on this machine: some of them are killed, and no click is lost.

    python examples/cluster.py            # show it, then end
    python examples/cluster.py --keep     # … and keep serving

Starts three NATS servers as one JetStream cluster, PostgreSQL, one node for emails (SMTP, API,
console), two redirects, two publishers, and a proxy before the redirects: real processes on free
loopback ports. Sends emails, clicks their links through the proxy, kills a redirect and the NATS
server that leads the stream meanwhile, and compares what was answered with what was counted.
Needs what the tests need (`make cluster` sets it up); everything is in a temporary folder.
"""

import argparse
import json
import os
import re
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from rich.console import Console
from rich.table import Table

from support.cluster import STREAM, Cluster
from support.crowd import Crowd
from support.proxy import Proxy
from support.service import Service

CLICKS, RATE = 4000, 250
REDIRECTS = ("redirect-1", "redirect-2")
console = Console(highlight=False, soft_wrap=True)


class Balancer(Proxy):
    """Takes the servers in turn, and passes over who does not answer."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__()
        self._ports = ports
        self._turns = count()
        self.port = 0

    def __enter__(self) -> Self:
        super().__enter__()
        self.port = self.listen(self._in_turn)
        return self

    def _in_turn(self) -> list[int]:
        first = next(self._turns) % len(self._ports)
        return self._ports[first:] + self._ports[:first]


def main() -> int:
    """Run it; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--keep", action="store_true", help="keep serving at the end")
    keep = options.parse_args().keep
    with TemporaryDirectory(prefix="clicktrail-cluster-") as folder:
        step("1. Start three NATS servers, PostgreSQL and five nodes of Clicktrail")
        began = time.monotonic()
        with Cluster(Path(folder), "console") as cluster:
            os.environ["CLICKTRAIL_STORE_URL"] = cluster.url  # for the commands
            ports = [cluster.nodes[name].http for name in REDIRECTS]
            with Balancer(ports) as balancer:
                console.print(f"   ready after {time.monotonic() - began:.0f} seconds")
                show_nodes(cluster)
                status = show(cluster, balancer)
                if keep:
                    serve_on(cluster, balancer)
        return status


def show(cluster: Cluster, balancer: Balancer) -> int:
    """Click while parts are lost, and compare; return the exit status."""
    front = cluster.front
    step("2. Send an email by SMTP, and click its links through the proxy")
    name = front.configuration_set()
    crowd = Crowd(front, name, rate=RATE, ports=[balancer.port])
    console.print(f"   configuration set {name}: {len(crowd.paths)} links, {RATE} clicks a second")
    taken: dict[str, int] = dict.fromkeys(REDIRECTS, 0)
    with crowd:
        crowd.wait_for(CLICKS // 4)
        step("3. Kill a redirect (SIGKILL) under these clicks, and start it again")
        taken["redirect-1"] += redirected(cluster.nodes["redirect-1"])
        lose(crowd, cluster.nodes["redirect-1"].kill, cluster.nodes["redirect-1"].start)
        step("4. Kill the NATS server that leads the stream, and start it again")
        leader = cluster.nats.leader(STREAM)
        lose(crowd, leader.kill, leader.start)
        crowd.wait_for(max(1, CLICKS - len(crowd.redirected)))
    for each in REDIRECTS:
        taken[each] += redirected(cluster.nodes[each])
    step("5. Compare what was answered with what was counted and told")
    try:
        cluster.check_books(name, crowd)
    except AssertionError as error:
        console.print(f"[red]It does not match ({error}): please report it.")
        return 1
    counted = front.statistics("--configuration-set", name)["clicks"]
    table = Table("What", "Clicks")
    table.columns[1].justify = "right"
    for what, number in (
        ("answered 302, each counted once and notified", len(crowd.redirected)),
        ("counted (with those whose answer was cut off by the kill)", counted),
        *((f"taken by {each}, at least (a kill forgets its last)", taken[each]) for each in taken),
    ):
        table.add_row(what, str(number))
    console.print(table)
    step("Nothing was lost. What next")
    console.print("   docs/scale-out.md: the same on machines of yours")
    return 0


def lose(crowd: Crowd, kill: Callable[[], object], start: Callable[[], object]) -> None:
    """Take a part away for some clicks."""
    before = len(crowd.redirected)
    kill()
    crowd.wait_for(CLICKS // 8)
    console.print(f"   while it is away: {len(crowd.redirected) - before} clicks redirected")
    start()
    crowd.wait_for(CLICKS // 8)


def redirected(node: Service) -> int:
    """Return how many clicks a node has redirected, by its metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.monitor}/metrics", timeout=10) as answer:
        found = re.search(r'redirects_total{status="302"} (\S+)', answer.read().decode())
    return int(float(found[1])) if found else 0


def show_nodes(cluster: Cluster) -> None:
    """Show where everything listens, when all nodes have said that they are there."""
    for _ in range(300):
        nodes = json.loads(cluster.front.cli("nodes", "list", "--json"))
        if len(nodes) == len(cluster.nodes):
            break
        time.sleep(0.1)
    table = Table("Node", "Listens at")
    for number, server in enumerate(cluster.nats.servers):
        table.add_row(f"NATS {number + 1}", server.address)
    table.add_row("PostgreSQL", cluster.url.partition("@")[2])
    for name, node in cluster.nodes.items():
        where = {
            "front": f"smtp {node.smtp}, api {node.api}, console http://127.0.0.1:{node.console}",
            "redirect": f"http://127.0.0.1:{node.http}",
        }.get(name.partition("-")[0], "")
        table.add_row(name, f"{where} metrics {node.monitor}".strip())
    console.print(table)
    live = sum(node["live"] for node in nodes)
    console.print(f"   clicktrail nodes list: {live} nodes are there, with the same keys")


def serve_on(cluster: Cluster, balancer: Balancer) -> None:
    """Serve until Ctrl-C."""
    welcome = re.search(r"http://\S+/welcome/\S+", cluster.front.said)
    step("Serving on; Ctrl-C ends it")
    console.print(f"   the proxy: http://127.0.0.1:{balancer.port}")
    console.print(f"   the console: {welcome[0] if welcome else cluster.front.console}")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


def step(title: str) -> None:
    """Print a heading."""
    console.print(f"\n[bold]{title}[/]")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
