"""The milter role in processes of its own, without a mail server around it."""

import asyncio
import os
import re
import signal
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from clicktrail.errors import SettingError
from clicktrail.service.service import ROLES, check_roles, load, usual_roles
from clicktrail.settings.kinds import Address, SocketPath
from clicktrail.settings.settings import Settings
from service.test_monitor import measured
from service.test_starts import refused
from support.milter_client import Envelope, MilterClient, edited, split
from support.service import Service, email_with, hrefs, html_of, wait_for

CLICKED = "http://shop.example/offer?a=1&b=2"


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for sockets: their paths may not be long."""
    with TemporaryDirectory(prefix="ct") as folder:
        yield Path(folder)


def stop_between_transactions(pid: int, shared_memory: Path) -> None:
    """Stop a process (SIGSTOP) where it does not hold the store's lock: others would wait for it.

    proc(5): a line of /proc/locks has the kind, the number of the process and the file's inode.
    """
    inode = shared_memory.stat().st_ino

    def stopped() -> bool | None:
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: "T (stopped)" in Path(f"/proc/{pid}/status").read_text() or None, "a stop")
        for line in Path("/proc/locks").read_text().splitlines():
            if re.search(rf" WRITE +{pid} \S+:{inode} ", line):
                os.kill(pid, signal.SIGCONT)
                return None
        return True

    wait_for(stopped, "a process that does not write")


def settings(**given: str) -> Settings:
    named = {name.replace("_", ".", 1): (text, "test") for name, text in given.items()}
    return Settings(named)


def submit(place: Address | SocketPath, raw: bytes, recipients: Sequence[str]) -> bytes:
    """Have an email changed over a connection from this machine; return it."""

    async def work() -> bytes:
        client = await MilterClient.connect(place, client="127.0.0.1")
        try:
            assert (await client.hear())[:1] == b"O"
            reply = await client.submit(raw, Envelope(recipients=recipients))
            assert reply.last == b"c", reply
            return edited(*split(raw), reply.edits)
        finally:
            await client.close()

    return asyncio.run(work())


def tracked(service: Service, place: Address | SocketPath, name: str) -> str:
    """Send an email with a link; return the tracking link."""
    html = f'<a href="{CLICKED.replace("&", "&amp;")}">x</a>'
    raw = email_with(html, name).as_bytes().replace(b"\n", b"\r\n")
    (link,) = hrefs(html_of(submit(place, raw, ["reader@gmail.com"])))
    return link


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "apart"])
def test_an_email_goes_through_the_mail_server_and_its_click_is_counted(
    tmp_path: Path, embedded: bool
) -> None:
    with Service(tmp_path, embedded=embedded) as service:
        name = service.configuration_set()
        link = tracked(service, Address("127.0.0.1", service.milter), name)
        assert service.request(link).location == CLICKED
        (event,) = service.wait_for_events(name, 1)
        assert event["click"]["url"] == CLICKED
        service.wait_for_clicks(name, 1)
        assert service.statistics("--configuration-set", name)["sent"] == 1
        (line,) = service.logged("email sent on")
        assert (line["queue_id"], line["by"], line["client"]) == ("4ABC", "milter", "127.0.0.1")
        assert service.stop() == 0


def test_it_runs_alone_on_a_socket_and_needs_no_smarthost(tmp_path: Path, short: Path) -> None:
    path = short / "milter.sock"
    flags = ("--role", "milter", "--role", "redirect", f"--milter-listen=unix:{path}")
    with Service(tmp_path, *flags, embedded=True) as service:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert f"milter     unix:{path}" in service.said
        name = service.configuration_set()
        link = tracked(service, SocketPath(path), name)
        assert service.request(link).location == CLICKED
        service.kill()
        assert path.is_socket()
        service.start()  # what was left there gives way
        tracked(service, SocketPath(path), name)
        assert service.stop() == 0
        assert not path.exists()


def test_a_socket_that_another_service_listens_on_is_told(tmp_path: Path, short: Path) -> None:
    path = short / "milter.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        said = refused(Service(tmp_path / "own", f"--milter-listen=unix:{path}"))
    assert said.startswith(
        f"clicktrail: milter.listen = unix:{path} (from --milter-listen) cannot be listened on:"
        " Address already in use"
    )


def test_a_socket_in_no_folder_is_told(tmp_path: Path, short: Path) -> None:
    said = refused(Service(tmp_path, f"--milter-listen=unix:{short}/none/milter.sock"))
    assert "No such file or directory: make its folder first" in said


def test_a_role_that_stops_while_a_mail_server_is_connected_ends_at_once(tmp_path: Path) -> None:
    with Service(tmp_path) as service, socket.create_connection(("127.0.0.1", service.milter)):
        service.signal(signal.SIGTERM)
        assert service.wait() == 0


def test_the_milter_runs_where_it_has_an_address() -> None:
    smarthost = "smtp://127.0.0.1:25"
    without = [role for role in ROLES if role != "milter"]
    assert usual_roles(settings(smarthost_url=smarthost)) == without
    assert usual_roles(settings()) == without  # and smarthost.url is asked for
    both = settings(smarthost_url=smarthost, milter_listen="127.0.0.1:8485")
    assert usual_roles(both) == list(ROLES)
    alone = usual_roles(settings(milter_listen="127.0.0.1:8485"))
    assert alone == [role for role in ROLES if role != "smtp"]
    assert check_roles(settings(milter_listen="127.0.0.1:8485"), alone) == alone


def test_a_milter_without_an_address_is_refused() -> None:
    with pytest.raises(SettingError, match=re.escape("milter.listen is empty")):
        load("milter").check(settings())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", None),
        ("127.0.0.1:8485", Address("127.0.0.1", 8485)),
        ("inet:[::1]:8485", Address("::1", 8485)),
        ("unix:/run/a b/milter.sock", SocketPath(Path("/run/a b/milter.sock"))),
        ("local:/run/milter.sock", SocketPath(Path("/run/milter.sock"))),
    ],
)
def test_where_it_listens_is_written_as_for_other_milters(
    text: str, place: Address | SocketPath | None
) -> None:
    assert settings(milter_listen=text)["milter.listen"] == place


@pytest.mark.parametrize(
    "text", ["unix:", "unix:milter.sock", f"unix:/{'x' * 95}", "inet:8485@localhost", "/run/x"]
)
def test_where_it_cannot_listen_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=re.escape("milter.listen = ")):
        settings(milter_listen=text)


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="NOT TESTED: it needs Linux (/proc)"
)
def test_several_processes_answer_on_one_socket(tmp_path: Path, short: Path) -> None:
    path = short / "milter.sock"
    place = SocketPath(path)
    flags = ("--role", "milter", "--role", "redirect", f"--milter-listen=unix:{path}")
    workers = ("milter", "milter:2")
    with Service(tmp_path, *flags, "--milter-workers", "2", embedded=False) as service:
        name = service.configuration_set()
        for stopped in workers:  # the other one answers
            pid = service.pid_of(stopped)
            assert pid is not None
            stop_between_transactions(pid, service.data / "clicktrail.db-shm")
            try:
                tracked(service, place, name)
            finally:
                os.kill(pid, signal.SIGCONT)
        wait_for(
            lambda: measured(service).get("clicktrail_emails_total{outcome=tracked}") == 2 or None,
            "what both counted",
        )
        for killed in workers:
            pid = service.pid_of(killed)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

            def is_back(worker: str = killed, old: int = pid) -> bool | None:
                return service.pid_of(worker) not in (None, old) or None

            wait_for(is_back, f"{killed} that is back")
            tracked(service, place, name)
        assert path.is_socket()
        assert service.stop() == 0
    assert not path.exists()
