"""keys.json is damaged, empty, gone or another one: nobody's links die in silence."""

import json
import signal
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from clicktrail.keys.ringfile import KeyFile
from service.test_monitor import ask
from support.older import make_older
from support.service import Service, email_with, hrefs, html_of, wait_for

PATIENCE = 120.0
HTML = '<a href="http://a.example/x">x</a>'


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def strip(path: Path) -> None:
    path.write_text('{"keys": []}')


def remove(path: Path) -> None:
    path.unlink()


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace(path: Path) -> None:
    """Put the ring of another installation there."""
    other = path.with_name("other.json")
    KeyFile(other).create_if_missing()
    path.write_bytes(other.read_bytes())


def flip(path: Path) -> None:
    """Change a bit of a key: it is JSON still, and a key of the same size."""
    stored = json.loads(path.read_bytes())
    secret = bytearray(b64decode(stored["keys"][0]["secret"]))
    secret[7] ^= 1
    stored["keys"][0]["secret"] = b64encode(secret).decode()
    path.write_text(json.dumps(stored))


def flip_of_a_version_before(path: Path) -> None:
    """Do it in a file without fingerprints."""
    flip(path)
    stored = json.loads(path.read_bytes())
    del stored["keys"][0]["fingerprint"]
    path.write_text(json.dumps(stored))


HARM = (
    *(truncate, remove, replace, flip),
    *(pytest.param(each, marks=pytest.mark.long) for each in (empty, zero, strip, make_folder)),
)


def refused(service: Service) -> str:
    """Start the service, which must refuse; return what it said."""
    service.log.unlink(missing_ok=True)
    with pytest.raises(AssertionError, match="did not start"):
        service.start()
    assert service.wait() == 1
    said = service.log.read_text()
    assert "Traceback" not in said
    assert said.count("keys.json") <= 3, "it is said once"
    return said


def sent_link(service: Service) -> str:
    return hrefs(html_of(service.send(email_with(HTML, service.configuration_set()))))[0]


@pytest.mark.parametrize("harm", HARM)
def test_without_its_keys_it_does_not_start_and_with_them_links_work(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    service = Service(tmp_path)
    with service:
        link = sent_link(service)
    path = service.data / "keys.json"
    backup = path.read_bytes()
    harm(path)
    damaged = path.read_bytes() if path.is_file() else None
    said = refused(service)
    assert "keys.json" in said
    assert "backup" in said
    assert "begin-anew" in said
    assert (path.read_bytes() if path.is_file() else None) == damaged, "it is left as it was"
    done = service.run("keys", "list")
    if harm is not replace:  # a command makes none either
        assert done.returncode == 1
        assert "backup" in done.stderr
        assert "Traceback" not in done.stderr
    if path.is_dir():
        path.rmdir()
    path.write_bytes(backup)
    with service:
        assert service.request(link).location == "http://a.example/x"


@pytest.mark.parametrize("harm", [pytest.param(remove, marks=pytest.mark.long), truncate, replace])
def test_who_has_lost_them_for_good_begins_anew_and_says_so(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    service = Service(tmp_path)
    with service:
        old = sent_link(service)
    path = service.data / "keys.json"
    backup = path.read_bytes()
    harm(path)
    damaged = path.read_bytes() if path.exists() else None
    refused(service)
    said = service.cli("keys", "begin-anew", "--yes")
    kept = list(service.data.glob("keys.json.damaged-*"))
    if harm is truncate:
        assert [each.read_bytes() for each in kept] == [damaged]
        assert kept[0].name in said
    assert [key["id"] for key in json.loads(service.cli("keys", "list", "--json"))][-1] == 2
    with service:
        assert service.request(old).status == 404
        new = sent_link(service)
        assert service.request(new).location == "http://a.example/x"
    # Found after all: the old key has a number of its own, so that both could be on one ring.
    assert json.loads(backup)["keys"][0]["id"] == 1
    again = service.run("keys", "begin-anew", "--yes")
    assert again.returncode == 1
    assert "nothing is lost" in again.stderr


def test_a_store_of_a_version_before_with_emails_and_no_keys_is_refused(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with service:
        sent_link(service)
    make_older(service.data / "clicktrail.db", "0009")  # keys are known to the store from 0010 on
    path = service.data / "keys.json"
    backup = path.read_bytes()
    (service.data / "journal.db").rename(tmp_path / "away")  # the store alone knows
    path.unlink()
    assert "emails were sent" in refused(service)
    path.write_bytes(backup)
    with service:
        pass
    path.unlink()
    replace(path)
    assert "sealed with key 1" in refused(service)


def test_keys_that_rotate_and_retire_are_no_loss(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with service:
        old = sent_link(service)
        service.cli("keys", "rotate")
        new = sent_link(service)
        service.cli("keys", "retire", "1", "--yes")
    with service:
        assert service.request(old).status == 404
        assert service.request(new).status == 302


@pytest.mark.parametrize(
    ("harm", "embedded"),
    [
        *((truncate, False), (remove, True), (flip_of_a_version_before, False)),
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in (
                (truncate, True),
                (remove, False),
                (empty, True),
                (empty, False),
                (replace, True),
                (replace, False),
                (flip_of_a_version_before, True),
            )
        ),
    ],
)
def test_damaged_while_it_runs_they_stay_in_use_and_it_is_not_ready(
    tmp_path: Path, embedded: bool, harm: Callable[[Path], None]
) -> None:
    with Service(tmp_path, embedded=embedded) as service:
        link = sent_link(service)
        path = service.data / "keys.json"
        backup = path.read_bytes()
        harm(path)

        def problem() -> str | None:
            status, body = ask(service, "/readyz")
            return str(json.loads(body)["why"].get("keys")) if status == 503 else None

        why = wait_for(problem, "a service that is not ready", PATIENCE)
        assert "keys.json" in why
        assert "backup" in why
        assert [line for line in service.logged("not ready") if line["what"] == "keys"]
        service.signal(signal.SIGHUP)
        wait_for(
            lambda: service.logged("not reloaded: what was there stays in use") or None,
            "an error in the log",
            PATIENCE,
        )
        # Clicks need no other node meanwhile.
        assert ask(service, "/readyz/redirect")[0] == 200
        assert service.request(link).status == 302
        new = sent_link(service)
        assert service.request(new).status == 302
        path.write_bytes(backup)
        wait_for(lambda: ask(service, "/readyz")[0] == 200 or None, "a ready service", PATIENCE)
        assert service.request(link).status == 302
        assert service.request(new).status == 302
        assert service.request(sent_link(service)).status == 302
