"""The whole service with a data stream, from the click to a real server that was away."""

import asyncio
import json
from pathlib import Path

from support.crowd import Crowd, check_books, marks_of
from support.service import Service, wait_for
from support.stream_servers import Nats


def test_each_click_arrives_at_a_stream_that_was_away(tmp_path: Path) -> None:
    with Nats(tmp_path / "nats") as server:
        asyncio.run(server.make_stream("clicks", "clicks"))
        quick = ("--publish-retry-first", "0.2", "--publish-retry-most", "1")
        with Service(tmp_path, "--nats-servers", server.address, *quick) as service:
            name = service.configuration_set()
            arn = f"arn:clicktrail:nats:::{server.address}/clicks"
            service.cli("event-destination", "add", name, "data", "--arn", arn)
            with Crowd(service, name, people=4, rate=80) as crowd:
                crowd.wait_for(20)
                server.kill()
                crowd.wait_for(20)
                wait_for(lambda: report(service, name)["lastError"] or None, "an error")
                assert report(service, name)["lagSeconds"] > 0
                server.start()
                crowd.wait_for(20)
            check_books(service, name, crowd)
            wait_for(lambda: not report(service, name)["waiting"] or None, "nothing that waits")
            assert report(service, name)["dead"] == 0
        told = [json.loads(data) for _, data in asyncio.run(server.stream("clicks"))]
    assert crowd.redirected <= marks_of(told).keys() <= crowd.tried


def report(service: Service, name: str) -> dict[str, float]:
    """Return how deliveries are doing, as the command line tells."""
    found: dict[str, float] = json.loads(
        service.cli("event-destination", "show", name, "data", "--json")
    )
    return found
