"""The real service with its journal on a real NATS server: what is promised holds there too."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.crowd import Crowd, check_books
from support.service import Service, email_with, hrefs, html_of
from support.stream_servers import Nats


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Nats]:
    with Nats(tmp_path / "nats") as running:
        yield running


def journal_at(*brokers: Nats) -> tuple[str, str]:
    return "--journal-url", f"nats://{','.join(broker.address for broker in brokers)}"


def test_a_click_goes_through_the_stream_to_the_notification(tmp_path: Path, broker: Nats) -> None:
    with Service(tmp_path / "one", *journal_at(broker)) as service:
        name = service.configuration_set()
        (link,) = hrefs(html_of(service.send(email_with('<a href="http://a.example">x</a>', name))))
        for _ in range(3):
            assert service.request(link).location == "http://a.example"
        assert len(service.wait_for_events(name, 3)) == 3
        assert service.statistics("--configuration-set", name)["clicks"] == 3
        assert not (service.data / "journal.db").exists()


def test_a_redirect_on_another_node_logs_clicks_for_the_others(
    tmp_path: Path, broker: Nats
) -> None:
    with Service(tmp_path / "one", *journal_at(broker)) as service:
        name = service.configuration_set()
        (link,) = hrefs(html_of(service.send(email_with('<a href="http://a.example">x</a>', name))))
        other = Service(tmp_path / "two", *journal_at(broker), "--role", "redirect")
        other.data.mkdir(parents=True)
        shutil.copy(service.data / "keys.json", other.data)
        with other:
            path = link[link.index("/", len("https://")) :]
            assert other.request(f"http://127.0.0.1:{other.http}{path}").status == 302
        assert len(service.wait_for_events(name, 1)) == 1


def interrupted(folder: Path, broker: Nats, rounds: int, rate: float) -> None:
    """Take the broker away under clicks, in different ways, and let it come back."""
    with Service(folder / "one", *journal_at(broker), embedded=False) as service:
        name = service.configuration_set()
        with Crowd(service, name, rate=rate) as crowd:
            for number in range(rounds):
                crowd.wait_for(100)
                if number % 2:
                    with broker.hung():
                        crowd.wait_for(100)
                else:
                    broker.kill()
                    crowd.wait_for(100)
                    broker.start()
            crowd.wait_for(100)
        check_books(service, name, crowd, left_in_journal=lambda: broker.left("clicktrail"))


@pytest.mark.early
def test_clicks_outlive_a_broker_that_is_killed_and_one_that_hangs(
    tmp_path: Path, broker: Nats
) -> None:
    interrupted(tmp_path, broker, 2, 200)


@pytest.mark.long
def test_the_whole_service_is_killed_and_nothing_is_lost(tmp_path: Path, broker: Nats) -> None:
    service = Service(tmp_path / "one", *journal_at(broker), embedded=False)
    with service:
        name = service.configuration_set()
        crowds = []
        for _ in range(5):
            with Crowd(service, name) as crowd:
                crowd.wait_for(300)
                service.signal(signal.SIGKILL)
                service.wait()
            crowd.other.clear()  # nobody answers while it is down
            crowds.append(crowd)
            service.start()
        check_books(service, name, *crowds, left_in_journal=lambda: broker.left("clicktrail"))
