"""The journal cannot be written, or the disk is full: people are sent on, and clicks are kept."""

import smtplib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.crowd import Crowd, check_books, marks_of, settle
from support.faults import filled, no_file_grows_beyond, small_disk
from support.service import Service, email_with, wait_for

KIB = 1024


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("troubled")) as service:
        yield service


def test_while_no_file_can_grow_clicks_are_kept_in_new_ones(troubled: Service) -> None:
    name = troubled.configuration_set()
    log = troubled.data / "journal.db-wal"
    with Crowd(troubled, name, people=16) as crowd:
        wait_for(lambda: log.stat().st_size > 300 * KIB or None, "journal that has grown")
        with no_file_grows_beyond(200 * KIB, troubled.pid):
            wait_for(lambda: troubled.logged("clicks go to the spool") or None, "failed journal")
            crowd.wait_for(100)
            assert list((troubled.data / "spool").glob("*.spool"))
        crowd.wait_for(30)
    check_books(troubled, name, crowd)
    assert troubled.logged("clicks go to the journal again")
    assert not troubled.logged("clicks not logged")


def test_while_another_process_holds_the_journal_clicks_are_kept_in_the_spool(
    troubled: Service,
) -> None:
    name = troubled.configuration_set()
    with Crowd(troubled, name, people=16) as crowd:
        crowd.wait_for(20)
        with closing(sqlite3.connect(troubled.data / "journal.db")) as holder:
            holder.execute("BEGIN IMMEDIATE")
            crowd.wait_for(100)
            assert list((troubled.data / "spool").glob("*.spool"))
        crowd.wait_for(20)
    check_books(troubled, name, crowd)
    assert not troubled.logged("clicks not logged")


def test_on_full_disks_people_are_sent_on_and_the_log_tells_how_many_clicks_it_cost(
    tmp_path: Path,
) -> None:
    data, spool = tmp_path / "data", tmp_path / "data" / "spool"
    with small_disk(data, "16m"), small_disk(spool, "1m"), Service(tmp_path) as service:
        name = service.configuration_set()
        with Crowd(service, name, people=16) as before:
            before.wait_for(20)
        meanwhile = Crowd(service, name, people=16)
        settle(service)
        with filled(data), filled(spool):
            with pytest.raises(smtplib.SMTPDataError) as refused:
                service.send(email_with("<a href=http://a.example/>x</a>", name))
            assert refused.value.smtp_code == 451  # its sender keeps it
            with meanwhile:
                meanwhile.wait_for(60)
        assert meanwhile.redirected == meanwhile.tried
        with Crowd(service, name, people=16) as after:
            after.wait_for(20)
        settle(service)
        told = marks_of(service.events(name)).keys()
        assert before.redirected | after.redirected <= told
        lost = meanwhile.redirected - told
        unlogged = sum(line["count"] for line in service.logged("clicks not logged"))
        assert 0 < len(lost) <= unlogged <= len(meanwhile.redirected)
        counted = service.statistics("--configuration-set", name)["clicks"]
        assert counted == len(told)
