"""A broker that refuses everybody for a time: clicks go to the spool, and come back."""

import json
import shutil
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support.service import Service, email_with, hrefs, html_of, wait_for
from support.stream_servers import Nats


def problems(service: Service) -> dict[str, str]:
    """Return what is not ready, and why."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.monitor}/readyz"):
            return {}
    except urllib.error.HTTPError as error:
        found: dict[str, str] = json.load(error)["why"]
        return found


def refuse(broker: Nats, settings: Path) -> None:
    """Let a broker ask for a sign-in that nobody here has, also those who are connected."""
    settings.write_text("authorization { user: somebody, password: else }\n")
    broker.signal(signal.SIGHUP)


def accept(broker: Nats, settings: Path) -> None:
    """Take that away again."""
    settings.write_text("")
    broker.signal(signal.SIGHUP)


def refused(monitor: int, name: str) -> int:
    """Return how many sign-ins of clients of that name a broker has refused."""
    with urllib.request.urlopen(f"http://127.0.0.1:{monitor}/connz?state=closed") as answer:
        closed = json.load(answer)["connections"]
    return sum(
        each.get("name") == name and each["reason"] == "Authentication Failure" for each in closed
    )


def test_clicks_come_back_to_the_journal_after_the_broker_refused_everybody(tmp_path: Path) -> None:
    folder = tmp_path / "nats"
    folder.mkdir()
    settings = folder / "nats.conf"
    settings.write_text("")
    with Nats(folder, "-c", str(settings)) as broker:
        flags = ("--journal-url", f"nats://{broker.address}")
        with Service(tmp_path / "one", *flags) as service:
            name = service.configuration_set()
            raw = service.send(email_with('<a href="http://a.example">x</a>', name))
            (link,) = hrefs(html_of(raw))
            assert service.request(link).status == 302
            service.wait_for_events(name, 1)

            refuse(broker, settings)
            spool = service.data / "spool"

            def spooled() -> bool | None:
                assert service.request(link).status == 302
                return any(path.stat().st_size for path in spool.glob("*")) or None

            wait_for(spooled, "clicks in the spool")
            wait_for(lambda: "journal" in problems(service) or None, "a problem in /readyz", 120)
            # The spool takes the clicks: no reason to take the node out of rotation.
            with urllib.request.urlopen(
                f"http://127.0.0.1:{service.monitor}/readyz/redirect"
            ) as up:
                assert json.load(up) == {"status": "ready"}
            accept(broker, settings)
            wait_for(lambda: not any(spool.glob("*")) or None, "an empty spool", 120)
            wait_for(lambda: not problems(service) or None, "the end of the problem", 120)
            before = len(service.events(name))
            assert service.request(link).status == 302
            service.wait_for_events(name, before + 1)


@pytest.mark.long
def test_nodes_without_a_store_come_back_to_the_register(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "nats.conf"
    settings.write_text("")
    with Nats(tmp_path / "nats", "-c", str(settings), "-m", str(port)) as broker:
        monkeypatch.setenv("CLICKTRAIL_JOURNAL_URL", f"nats://{broker.address}")
        first, second = Service(tmp_path / "one"), Service(tmp_path / "two", "--role", "redirect")

        def keys() -> list[int] | None:
            """Return the keys that the second node says it has."""
            nodes = json.loads(first.cli("nodes", "list", "--json"))
            return next((n["keys"] for n in nodes if n["name"].endswith(" redirect")), None)

        with first:
            name = first.configuration_set()
            email = email_with('<a href="http://a.example">x</a>', name)
            [link] = hrefs(html_of(first.send(email)))
            second.data.mkdir(parents=True)
            shutil.copy(first.data / "keys.json", second.data)
            with second:
                wait_for(keys, "the second node", 120)
                refuse(broker, settings)
                # Of the node that asks, and of the publisher that answers.
                wait_for(lambda: refused(port, "clicktrail nodes") > 1 or None, "both", 120)
                lost = "the register of nodes cannot be reached"
                wait_for(lambda: lost in second.log.read_text() or None, "a warning", 120)
                first.cli("keys", "add")
                shutil.copy(first.data / "keys.json", second.data)
                path = link[link.index("/", len("https://")) :]
                assert second.request(f"http://127.0.0.1:{second.http}{path}").status == 302
                accept(broker, settings)
                wait_for(lambda: keys() == [1, 2] or None, "its new key", 120)
                assert "Key 2 seals" in first.cli("keys", "seal", "2")
                first.wait_for_events(name, 1)
