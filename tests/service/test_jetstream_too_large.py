"""Clicks that are larger than the broker takes: kept by themselves, counted when it takes them."""

import asyncio
import re
import signal
from pathlib import Path

import nats
import pytest

from support.command_line import invoke
from support.service import Service, email_with, hrefs, html_of, wait_for
from support.stream_servers import Nats

PATIENCE = 120.0
LONG = "http://a.example/" + "long" * 1500
SHORT = "http://a.example/short"


def links(service: Service, name: str) -> tuple[str, str]:
    """Send an email; return its link with a long URL, and the one with a short URL."""
    html = f'<a href="{LONG}">x</a> <a href="{SHORT}">y</a>'
    long, short = hrefs(html_of(service.send(email_with(html, name))))
    return long, short


def urls(service: Service, name: str) -> list[str]:
    return sorted(event["click"]["link"] for event in service.events(name))


def set_aside(service: Service) -> list[Path] | None:
    return list((service.data / "spool").glob("*.too-large")) or None


def fails(service: Service, *arguments: str) -> str:
    """Run a command that must fail; return what it says, without the lines of its table."""
    done = invoke([*arguments, "--data", str(service.data)])
    assert done.exit_code == 1, done.output
    return re.sub(r"\n|\s*[│┃]\s*", "", done.output)


async def make_stream(broker: Nats, largest: int) -> None:
    client = await nats.connect(f"nats://{broker.address}", allow_reconnect=False)
    await client.jetstream().add_stream(
        name="clicktrail", subjects=["clicktrail.clicks"], max_msg_size=largest
    )
    await client.close()


def test_a_click_over_max_payload_waits_by_itself_until_it_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "nats.conf"
    settings.write_text("max_payload: 4096\n")
    with Nats(tmp_path / "nats", "-c", str(settings)) as broker:
        monkeypatch.setenv("CLICKTRAIL_JOURNAL_URL", f"nats://{broker.address}")
        with Service(tmp_path / "one") as service:
            name = service.configuration_set()
            long, short = links(service, name)
            assert service.request(long).location == LONG
            [path] = wait_for(lambda: set_aside(service), "a file of its own", PATIENCE)
            assert service.request(short).status == 302
            wait_for(lambda: len(service.events(name)) or None, "the other click", PATIENCE)
            assert urls(service, name) == [SHORT]

            # The same by way of the spool.
            broker.kill()
            for link in (long, short, long):
                assert service.request(link).status == 302
            broker.start()
            wait_for(lambda: len(service.events(name)) > 1 or None, "the click behind", PATIENCE)
            wait_for(lambda: not list(service.data.glob("spool/*.spool")) or None, "its end")
            assert urls(service, name) == [SHORT, SHORT]

            said = service.log.read_text()
            assert "clicktrail repair" in said
            assert path.name in said
            assert "max_payload of the NATS server is 4096" in said
            assert path.name in fails(service, "check")
            assert "max_payload" in fails(service, "repair")
            assert path.exists()

            settings.write_text("max_payload: 1MB\n")
            broker.signal(signal.SIGHUP)
            wait_for(lambda: "Reloaded" in (broker.folder / "log").read_text() or None, "a reload")
            assert "go to the journal" in service.cli("repair")
            service.wait_for_events(name, 5)
            assert urls(service, name) == sorted([LONG] * 3 + [SHORT] * 2)
            assert "Nothing was set aside" in service.cli("repair")


def test_so_does_one_that_is_larger_than_the_stream_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Nats(tmp_path / "nats") as broker:
        asyncio.run(make_stream(broker, 4096))
        monkeypatch.setenv("CLICKTRAIL_JOURNAL_URL", f"nats://{broker.address}")
        with Service(tmp_path / "one") as service:
            name = service.configuration_set()
            long, short = links(service, name)
            assert service.request(long).status == 302
            wait_for(lambda: set_aside(service), "a file of its own", PATIENCE)
            assert service.request(short).status == 302
            wait_for(lambda: len(service.events(name)) or None, "the other click", PATIENCE)
            assert urls(service, name) == [SHORT]
            assert "max_msg_size of clicktrail" in fails(service, "repair")
