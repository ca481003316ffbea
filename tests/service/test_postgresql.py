"""The whole service on a real PostgreSQL, also while that is away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.crowd import Crowd, check_books
from support.postgres import NEEDS_POSTGRES, Postgres
from support.service import Service, email_with, hrefs, html_of

pytestmark = NEEDS_POSTGRES


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server of its own, which may be stopped."""
    with Postgres() as running:
        yield running


@pytest.fixture
def service(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    # In the environment, as a password is given: commands find it there too.
    monkeypatch.setenv("CLICKTRAIL_STORE_URL", server.url(server.fresh()))
    with Service(tmp_path, "--identities-required", "no") as running:
        yield running


def test_a_click_is_counted_and_told_and_no_file_is_made(service: Service) -> None:
    name = service.configuration_set()
    [link] = hrefs(html_of(service.send(email_with('<a href="http://a.example/x">x</a>', name))))
    answer = service.request(link)
    assert (answer.status, answer.location) == (302, "http://a.example/x")
    [event] = service.wait_for_events(name, 1)
    assert event["click"]["url"] == "http://a.example/x"
    found = service.statistics("--configuration-set", name)
    assert (found["sent"], found["clicks"], found["uniqueClicks"]) == (1, 1, 1)
    assert not (service.data / "clicktrail.db").exists()


def test_clicks_while_it_is_away_are_redirected_and_counted_once_when_it_is_back(
    service: Service, server: Postgres
) -> None:
    name = service.configuration_set()
    with Crowd(service, name, people=8, rate=100) as crowd:
        crowd.wait_for(50)
        server.stop()
        crowd.wait_for(100)
        server.start()
        crowd.wait_for(50)
    check_books(service, name, crowd)


@pytest.mark.long
def test_a_dump_that_is_restored_has_the_links_the_counts_and_the_streams(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url(server.fresh())
    monkeypatch.setenv("CLICKTRAIL_STORE_URL", url)
    dumped = server.folder / "dump"  # where the server's user may write
    with Service(tmp_path) as service:
        name = service.configuration_set()
        [link] = hrefs(html_of(service.send(email_with('<a href="http://a.example">x</a>', name))))
        with Crowd(service, name, people=8, rate=100) as crowd:  # a dump needs no rest
            crowd.wait_for(50)
            server.dump(url.rpartition("/")[2], dumped)
            crowd.wait_for(50)
        check_books(service, name, crowd)
        then = service.events(name)
    monkeypatch.setenv("CLICKTRAIL_STORE_URL", server.url(server.restore(dumped)))
    with Service(tmp_path) as restored:
        events = restored.events(name)
        counted = restored.statistics("--configuration-set", name)
        assert counted["clicks"] == len(events) > 0
        assert events == then[: len(events)]
        assert restored.request(link).location == "http://a.example"
        after = restored.wait_for_clicks(name, counted["clicks"] + 1)
        assert after["sent"] == 2
        assert restored.wait_for_events(name, len(events) + 1)[:-1] == events
