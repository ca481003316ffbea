"""Commands that change the data folder are killed at every step: the next run finishes the work."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from service.test_damage import (
    HTML,
    LINKS,
    all_urls,
    frames_of,
    header,
    spooled_clicks,
    urls_of,
)
from support.command_line import invoke
from support.killing import killed_at_each_step
from support.service import Service, email_with, hrefs, html_of, wait_for

PATIENCE = 120.0


def told(service: Service, *words: str) -> tuple[int, str]:
    """Run a command in this process; return its exit status, and what it said."""
    done = invoke([*words, "--data", str(service.data)])
    return done.exit_code, f"{done.output}{done.exception or ''}"


@pytest.mark.long
def test_a_repair_that_is_killed_again_and_again_counts_each_click_once(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        name, spool = spooled_clicks(service)
        # A spool file with a damaged frame, a journal without a header, and a row that is no click
        # of today but holds one.
        data = spool.read_bytes()
        at = frames_of(data)[1]
        row = data[at + 8 : frames_of(data)[2]]
        spool.write_bytes(data[:at] + b"\xff\xff\x01\x00\x00" + data[at + 5 :])
        with closing(sqlite3.connect(service.data / "journal.db")) as journal, journal:
            journal.execute("INSERT INTO batch (records) VALUES (?)", (b"\xc1" + row,))
        service.start()
        wait_for(
            lambda: (
                True
                if any((service.data / "undecodable").glob("*.record"))
                and any(spool.parent.glob("*.damaged"))
                else None
            ),
            "files set aside",
            PATIENCE,
        )
        service.wait_for_events(name, LINKS - 1)
        service.kill()
        header(service.data / "journal.db")
        service.start()
        wait_for(
            lambda: list(service.data.glob("journal.db.damaged-*")) or None, "a journal", PATIENCE
        )
        assert len(list(killed_at_each_step(service.data, ("repair",)))) > 3
        assert "Nothing was set aside" in told(service, "repair")[1]
        service.wait_for_events(name, LINKS)
        assert service.wait_for_clicks(name, LINKS)["clicks"] == LINKS
        assert urls_of(service, name) == all_urls()
        status, said = told(service, "check")
        assert status == 0, said


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "harm"),
    [
        (("keys", "begin-anew", "--yes"), "truncated"),
        pytest.param(("keys", "begin-anew", "--yes"), "missing", marks=pytest.mark.long),
        pytest.param(("keys", "rotate"), "", marks=pytest.mark.long),
        pytest.param(
            ("recipients", "forget", "reader@gmail.com", "--yes"), "", marks=pytest.mark.long
        ),
    ],
    ids=["begin-anew truncated", "begin-anew missing", "rotate", "forget"],
)
def test_a_command_that_is_killed_leaves_what_its_next_run_goes_on_from(
    tmp_path: Path, words: tuple[str, ...], harm: str
) -> None:
    service = Service(tmp_path)
    with service:
        name = service.configuration_set()
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        assert service.request(link).status == 302
        service.wait_for_events(name, 1)
    keys = service.data / "keys.json"
    if harm == "truncated":
        keys.write_bytes(keys.read_bytes()[:40])
    elif harm == "missing":
        keys.unlink()
    before = tmp_path / "before"
    shutil.copytree(service.data, before)
    for _ in killed_at_each_step(service.data, words):
        status, said = told(service, *words)
        assert status == 0 or "nothing is lost" in said, said
        assert status or not list(service.data.glob(".*")), "secrets lie around"
        status, said = told(service, "check")
        assert status == 0, said
        shutil.rmtree(service.data)
        shutil.copytree(before, service.data)
    assert told(service, "check")[0] == 0
    with service:
        again = service.request(link)
        assert again.status == (404 if "begin-anew" in words else 302)
        new = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        assert service.request(new).status == 302
