"""What an operator sees: health, readiness and metrics of the real service."""

import http.client
import os
import shutil
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.postgres import NEEDS_POSTGRES, Postgres
from support.service import Service, email_with, hrefs, html_of, wait_for

HTML = '<a href="http://a.example/x">x</a> <a href="http://a.example/y">y</a>'
SCRAPE_SECONDS = 20
"""Prometheus itself waits for 10 seconds (``scrape_timeout``)."""

UNIT = Path(__file__).parents[2] / "deploy" / "clicktrail.service"


def ask(service: Service, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", service.monitor, timeout=SCRAPE_SECONDS)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def measured(service: Service) -> dict[str, float]:
    """Return each sample by its name and labels, as Prometheus reads it; all is there once."""
    status, text = ask(service, "/metrics")
    assert status == 200
    told = [line.split()[1:3] for line in text.decode().splitlines() if line.startswith("# ")]
    assert Counter(map(tuple, told)).most_common(1)[0][1] == 1, "a family is there twice"
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            assert "pid" not in sample.labels, "a sample is one process's"
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found, "a sample is there twice"
            found[name] = sample.value
    return found


@pytest.mark.parametrize("embedded", [True, False])
def test_an_email_and_its_clicks_are_measured(tmp_path: Path, embedded: bool) -> None:
    with Service(tmp_path, embedded=embedded) as service:
        assert ask(service, "/healthz") == (200, b'{"status":"ok"}')
        assert ask(service, "/readyz") == (200, b'{"status":"ready"}')
        name = service.configuration_set()
        links = hrefs(html_of(service.send(email_with(HTML, name))))
        service.send(email_with(HTML))
        for link in links:
            service.request(link)
        service.request(links[0].replace("/c/", "/c/x"))
        service.wait_for_events(name, 2)

        def recorded() -> dict[str, float] | None:  # which the publisher counts after the commit
            found = measured(service)
            clicks = (
                v for k, v in found.items() if k.startswith("clicktrail_clicks_recorded_total")
            )
            # On a busy machine a click goes by the spool.
            done = sum(clicks) == 2 and found["clicktrail_spool_bytes"] == 0
            return found if done else None

        found = wait_for(recorded, "clicks that are counted")
        assert found["clicktrail_redirects_total{status=302}"] == 2
        assert found["clicktrail_redirects_total{status=404}"] == 1
        assert found["clicktrail_clicks_total"] == 2
        assert found["clicktrail_clicks_unlogged_total"] == 0
        assert found["clicktrail_journal_commit_seconds_count"] == 2
        assert found["clicktrail_emails_total{outcome=tracked}"] == 1
        assert found["clicktrail_emails_total{outcome=untracked}"] == 1
        assert found["clicktrail_links_total"] == 2
        assert found["clicktrail_rewrite_seconds_count"] == 1
        assert found["clicktrail_store_up"] == 1


@pytest.mark.parametrize("embedded", [True, False])
def test_every_answer_has_what_is_so_now_and_has_it_once(tmp_path: Path, embedded: bool) -> None:
    with Service(tmp_path, embedded=embedded) as service:
        kept = service.data / "spool" / "x.spool.damaged"
        before = measured(service)
        for size in (100_000, 5, None):
            if size is None:
                kept.unlink()
            else:
                kept.write_bytes(bytes(size))
            found = measured(service)
            assert found["clicktrail_spool_bytes"] == (size or 0)
            assert found["clicktrail_spool_files"] == (size is not None)
            assert found["clicktrail_store_up"] == 1
            assert found.keys() == before.keys()


@NEEDS_POSTGRES
@pytest.mark.parametrize("embedded", [True, False])
def test_a_store_that_does_not_answer_is_not_up(
    tmp_path: Path, postgres: Postgres, embedded: bool
) -> None:
    url = postgres.migrated()
    name = url.rpartition("/")[2]
    stored = {"CLICKTRAIL_STORE_URL": url}
    with Service(tmp_path, embedded=embedded, environment=stored) as service:

        def is_up() -> bool:
            return measured(service)["clicktrail_store_up"] == 1

        wait_for(lambda: is_up() or None, "a store that answers")
        with psycopg.connect(url) as busy:
            busy.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
            assert not is_up()
        wait_for(lambda: is_up() or None, "a store that answers again")
        postgres.sql(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname"
        postgres.sql(f"{ended} = '{name}'")
        for _ in range(2):
            assert not is_up()
        postgres.sql(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
        wait_for(lambda: is_up() or None, "a store that is back")


def test_what_waits_for_a_destination_is_measured(tmp_path: Path) -> None:
    flags = ("--webhook-allow", "127.0.0.0/8", "--publish-retry-for", "3600")
    with Service(tmp_path, *flags) as service:
        name = service.configuration_set(stream=False)
        hook = ("--webhook", "http://127.0.0.1:1/nobody", "--type", "CLICK")
        service.cli("event-destination", "add", name, "hook", *hook)
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        service.request(link)
        key = f"{{configuration_set={name},destination=hook}}"

        def waiting() -> dict[str, float] | None:
            found = measured(service)
            return found if found.get("clicktrail_outbox_waiting" + key) else None

        found = wait_for(waiting, "a notification that waits")
        assert found["clicktrail_outbox_waiting" + key] == 1
        assert 0 <= found["clicktrail_outbox_oldest_seconds" + key] < 60
        assert found["clicktrail_dead_letters" + key] == 0


def test_a_role_that_has_died_is_not_ready_until_it_is_back(tmp_path: Path) -> None:
    with Service(tmp_path, embedded=False) as service:
        before = service.pid_of("redirect")
        assert before is not None

        def answered(status: int) -> bool | None:
            return ask(service, "/readyz")[0] == status or None

        def killed_and_told() -> bool | None:
            pid = service.pid_of("redirect")
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return answered(503)

        # Again, where it was back before anybody asked.
        wait_for(killed_and_told, "a service that is not ready")
        wait_for(lambda: answered(200), "a service that is ready again")
        assert service.pid_of("redirect") != before


def test_other_requests_are_refused(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        assert ask(service, "/")[0] == 404
        assert ask(service, "/metrics", "POST")[0] == 405
        assert ask(service, "/healthz", "HEAD") == (200, b"")


def test_an_address_in_use_is_said_to_be(tmp_path: Path) -> None:
    other = tmp_path / "second"
    other.mkdir()
    with Service(tmp_path) as first:
        second = Service(other, "--metrics-listen", f"127.0.0.1:{first.monitor}")
        with pytest.raises(AssertionError, match=r"metrics\.listen = 127\.0\.0\.1:\d+ .*cannot be"):
            second.start()
        second.stop()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NOT TESTED: no systemd here")
def test_the_systemd_unit_is_valid() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, timeout=60
    )
    # What it says of a command that is not installed here is no fault of the unit.
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert [line for line in said if "is not executable" not in line] == []
