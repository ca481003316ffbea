"""Mistakes that people make, at the real command line: what is said, and the exit status.

Nobody ever sees a traceback, and nothing that was not asked for is made.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from clicktrail.errors import SettingError
from clicktrail.keys.ringfile import KeyFile
from clicktrail.settings.settings import load_settings
from support import forked
from support.command_line import invoke
from support.service import AT_ANY_PORT, wait_for

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


def clicktrail(
    folder: Path,
    words: Sequence[str],
    *,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder."""
    wide = {"COLUMNS": "200", **(environment or {})}
    command = [*forked.COMMAND, *words]
    return forked.run(command, folder=folder, environment=wide, given=given, encoding="latin-1")


def as_nobody(shared: Path, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user who owns nothing.

    Modules were loaded while it was root: they may lie where nobody else can read.
    """
    return forked.run([*forked.COMMAND, *words], folder=shared, user=NOBODY)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Clicktrail was set up, with a configuration set and a stream."""
    folder = tmp_path_factory.mktemp("house")
    KeyFile(folder / "clicktrail-data" / "keys.json").create_if_missing()
    for words in (
        "configuration-set create news",
        "event-destination add news log --stream clicks",
        "identity create example.com",
    ):
        assert clicktrail(folder, words.split()).returncode == 0
    for name, content in (
        ("utf16.toml", "data = 'x'".encode("utf-16")),
        ("broken.toml", b"data = "),
        ("misspelt.toml", b"[smtp]\nlisen = '127.0.0.1:1'\n"),
        ("date.toml", b"data = 2026-11-28\n"),
        ("bom.toml", b"\xef\xbb\xbfdata = 'clicktrail-data'\n"),
        ("nul.toml", b'data = "a\\u0000b"\n'),
        ("notes.txt", b"nothing"),
    ):
        (folder / name).write_bytes(content)
    (folder / "empty").mkdir()
    (folder / "foreign").mkdir()
    (folder / "foreign" / "keys.json").write_bytes(b"{}")
    (folder / "foreign" / "clicktrail.db").write_bytes(b"This is no database. " * 100)
    return folder


LOOK = "say where it is with --data FOLDER, CLICKTRAIL_DATA or data in clicktrail.toml"

KNOWN = {
    *("utf16.toml", "broken.toml", "misspelt.toml", "date.toml", "bom.toml", "nul.toml"),
    *("notes.txt", "empty", "foreign", "clicktrail-data"),
}
"""What is in the folder from the start."""

MISTAKES = [
    # No data, or not where it was looked for.
    ("configuration-set list --data nowhere", 1, "there is no data of Clicktrail in {}/nowhere"),
    ("configuration-set create x --data nowhere", 1, LOOK),
    ("keys rotate --data empty", 1, "there is no data of Clicktrail in {}/empty"),
    ("rewrite --data empty", 1, "`clicktrail serve` makes it at its first start"),
    ("access-key create --data empty", 1, "(data = 'empty', from --data)"),
    ("statistics --data notes.txt", 1, "data = 'notes.txt' cannot be used: expected a folder"),
    ("keys list --data foreign", 1, "foreign/keys.json is not a key ring"),
    ("configuration-set list --data foreign", 1, "file is not a database"),
    ("serve --smarthost maildir:m --data notes.txt", 1, "expected a folder"),
    # Settings.
    ("settings --data=", 1, "data = '' (from --data) cannot be used: expected a path"),
    ("settings --config nul.toml", 1, "(from nul.toml) cannot be used: expected a path"),
    ("settings --config none.toml", 1, "none.toml cannot be read: No such file or directory"),
    ("settings --config empty", 1, "empty cannot be read: Is a directory"),
    ("settings --config utf16.toml", 1, "utf16.toml is not TOML: expected UTF-8, save it as that"),
    ("settings --config broken.toml", 1, "broken.toml is not TOML: "),
    ("settings --config date.toml", 1, "data in date.toml is a date: expected a text"),
    ("settings --config misspelt.toml", 1, "'smtp.lisen' in misspelt.toml: did you mean smtp.lis"),
    ("settings --smtp-timeout -1", 1, "expected seconds, from 1 to 3600"),
    ("settings --smtp-timeout nan", 1, "expected seconds, from 1 to 3600"),
    ("settings --smtp-max-size 99999999999999999999", 1, "expected a whole number from 1024"),
    ("settings --smtp-listen 127.0.0.1:70000", 1, "expected host:port"),
    ("settings --smarthost-password-X y", 2, "No such option"),
    ("settings --smtp-tls-key notes.txt", 1, "so smtp.tls_certificate is needed too"),
    ("settings --smtp-tls-certificate empty --smtp-tls-key notes.txt", 1, "(Is a directory)"),
    (
        "serve --smarthost smtp://h:25 --smarthost-password geheim",
        1,
        "smarthost.password is set (from --smarthost-password), so smarthost.username is needed",
    ),
    (
        "settings --smtp-listen 127.0.0.1:4 --redirect-listen 127.0.0.1:4",
        1,
        "smtp.listen and redirect.listen are both 127.0.0.1:4: give each a port of its own",
    ),
    # What is not there is said before anything is asked.
    ("configuration-set delete x", 1, "there is no configuration set 'x'"),
    ("identity delete x.example", 1, "there is no identity 'x.example'"),
    ("identity dkim remove x.example", 1, "there is no identity 'x.example'"),
    ("identity dkim remove example.com", 1, "identity example.com has no DKIM key"),
    ("console-user delete x", 1, "there is no account 'x'"),
    ("nodes forget x", 1, "there is no node 'x': see `clicktrail nodes list`"),
    ("keys retire 9", 1, "no key 9"),
    ("event-destination remove news x", 1, "configuration set 'news' has no event destination 'x'"),
    ("event-destination update news x --disable", 1, "no event destination 'x'"),
    ("event-destination list x", 1, "there is no configuration set 'x'"),
    ("smtp-user delete x", 1, "there is no SMTP user 'x'"),
    ("access-key disable x", 1, "there is no access key 'x'"),
    ("events tail --stream nosuch", 1, "there is no built-in stream 'nosuch' (clicks)"),
    ("events tail --stream nosuch --follow", 1, "event-destination add SET NAME --stream nosuch"),
    ("link undo x", 1, "there is no change 'x' of links that holds"),
    ("link open http://[/c/x", 1, "is not a tracking link"),
    ("link replace shop.example https://a.example/", 1, "begins with http:// or https://"),
    ("link replace mailto:a@b.example https://a.example/", 1, "begins with http:// or https://"),
    ("events replay 7", 1, "there is no dead letter of that id: see `clicktrail events dead`"),
    ("statistics --configuration-set x", 1, "there is no configuration set 'x'"),
    ("statistics --identity x.example", 1, "there is no identity 'x.example'"),
    # Numbers and days.
    (
        "events replay 99999999999999999999",
        2,
        "should be less than or equal to 9223372036854775807",
    ),
    (
        "events tail --after 99999999999999999999",
        2,
        "should be less than or equal to 9223372036854775807",
    ),
    (
        "events tail --lines 99999999999999999999",
        2,
        "should be less than or equal to 9223372036854775807",
    ),
    (
        "link replace http://a.example/ http://b.example/ --since 9999-12-31T23:59:59-23:59",
        1,
        "is no time",
    ),
    ("clicks --since 9999-12-31T23:59:59-23:59", 1, "is no time"),
    ("suppression list --limit 99999999999999999999", 2, "should be less than or equal to 1000000"),
    ("events dead --limit 0", 2, "should be greater than or equal to 1"),
    ("statistics --time-zone Mars/Base", 1, "there is no time zone 'Mars/Base'"),
    ("statistics --since 2026-02-30", 1, "--since '2026-02-30' is no day"),
    ("statistics --since 0d --provider x", 1, "there is no provider 'x'"),
    # Questions that nobody answers.
    ("configuration-set delete news", 1, "nothing was done: nobody said yes (--yes says it"),
    ("recipients forget a@example.com", 1, "nothing was done"),
    ("recipients forget nobody", 1, "'nobody' is no email address"),
    ("identity dkim set example.com --selector s --key none.pem", 1, "--key none.pem cannot be"),
    ("identity dkim set example.com --selector s --key empty", 1, "Is a directory"),
    ("identity dkim set example.com --selector s --key notes.txt", 1, "not a private key"),
]


@pytest.mark.parametrize(("words", "status", "says"), MISTAKES)
def test_a_mistake_is_told_in_words(house: Path, words: str, status: int, says: str) -> None:
    done = clicktrail(house, words.split())
    said = done.stdout + done.stderr
    assert says.format(house) in said
    assert done.returncode == status
    assert "Traceback" not in said
    if status == 1:
        assert said.strip().splitlines()[-1].startswith("clicktrail: ")
    assert {path.name for path in house.iterdir()} <= KNOWN, "a command made something"


@pytest.mark.parametrize("words", [["-h"], ["serve", "-h"], ["events", "tail", "-h"]])
def test_what_is_no_mistake_is_none(house: Path, words: list[str]) -> None:
    assert clicktrail(house, [*words]).returncode == 0


def test_a_file_with_a_byte_order_mark_is_read(house: Path) -> None:
    assert load_settings({}, {}, house / "bom.toml")["data"] == Path("clicktrail-data")


def test_a_variable_that_means_nothing_is_refused_with_the_nearest_name(house: Path) -> None:
    done = clicktrail(house, ["keys", "list"], environment={"CLICKTRAIL_SMTP_LISTN": "x"})
    assert done.returncode == 1
    assert "unknown setting CLICKTRAIL_SMTP_LISTN in the environment" in done.stderr
    assert "did you mean CLICKTRAIL_SMTP_LISTEN?" in done.stderr


def test_variables_that_kubernetes_sets_beside_a_service_of_that_name_are_none_of_ours() -> None:
    """kubernetes.io/docs/concepts/services-networking/service: environment variables."""
    load_settings(
        {},
        {
            "CLICKTRAIL_SERVICE_HOST": "10.0.0.11",
            "CLICKTRAIL_SERVICE_PORT": "2525",
            "CLICKTRAIL_SERVICE_PORT_SMTP": "2525",
            "CLICKTRAIL_PORT": "tcp://10.0.0.11:2525",
            "CLICKTRAIL_PORT_2525_TCP": "tcp://10.0.0.11:2525",
            "CLICKTRAIL_PORT_2525_TCP_PROTO": "tcp",
            "CLICKTRAIL_PORT_2525_TCP_ADDR": "10.0.0.11",
            "CLICKTRAIL_SMTP_SERVICE_HOST": "10.0.0.12",
        },
    )
    with pytest.raises(SettingError, match="CLICKTRAIL_SMTP_PROT"):
        load_settings({}, {"CLICKTRAIL_SMTP_PROT": "2525"})


@pytest.mark.parametrize("words", ["keys list", "settings --json"])
def test_a_full_disk_or_a_closed_pipe_at_the_other_end_is_no_traceback(
    house: Path, words: str
) -> None:
    command = [sys.executable, "-m", "clicktrail", *words.split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=house, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command, cwd=house, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=300
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_files_may_be_closed(house: Path, closed: str) -> None:
    for words in ("configuration-set list", "settings --json"):
        line = f"exec '{sys.executable}' -m clicktrail {words} {closed}"
        done = subprocess.run(["sh", "-c", line], cwd=house, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


def test_text_that_the_terminal_cannot_show_is_written_otherwise(house: Path) -> None:
    done = clicktrail(
        house,
        ["configuration-set", "list", "--data", "n\xfcn"],
        environment={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "there is no data of Clicktrail" in done.stderr


def holds_database(process: int) -> bool:
    """Whether a process has the database open. Needs ``/proc``."""
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            if "clicktrail.db" in str(link.readlink()):
                return True
    return False


def test_ctrl_c_ends_a_command_without_a_word(house: Path) -> None:
    words = "events tail --follow --lines 0 --positions"
    with subprocess.Popen(
        [sys.executable, "-m", "clicktrail", *words.split()],
        cwd=house,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            # It is at work when it has opened that.
            wait_for(lambda: holds_database(process.pid) or process.poll(), "an open database")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, "", "")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that anybody may enter."""
    with tempfile.TemporaryDirectory(prefix="clicktrail-shared-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@AS_ROOT
def test_whose_a_file_is_and_who_is_asking_is_said(shared: Path) -> None:
    data = shared / "data"
    KeyFile(data / "keys.json").create_if_missing()
    data.chmod(0o755)
    at = ("--data", str(data))
    assert clicktrail(shared, ["access-key", "create", *at]).returncode == 0
    for words, file in (
        (["keys", "list"], data / "keys.json"),
        (["configuration-set", "list"], data / "clicktrail.db"),
        (["access-key", "create"], data / "vault-key"),
        (["serve", "--smarthost", "maildir:/tmp/m", *AT_ANY_PORT], data / "keys.json"),
    ):
        done = as_nobody(shared, [*words, *at])
        assert done.returncode == 1
        said = done.stderr
        assert f"Permission denied: {file} belongs to root, and this runs as nobody" in said
        assert "remove" not in said
        assert "Traceback" not in said
    data.chmod(0o700)
    done = as_nobody(shared, ["configuration-set", "list", *at])
    assert f"Permission denied: {data} belongs to root, and this runs as nobody" in done.stderr


PUBLISHER = " ".join(("serve --role publisher", *AT_ANY_PORT))
API = " ".join(("serve --role api", *AT_ANY_PORT))
FORGET = "recipients forget anna@example.com --yes"


@AS_ROOT
@pytest.mark.parametrize(
    ("words", "name"),
    [
        (PUBLISHER, "webhook-secret"),
        (API, "api-token"),
        ("configuration-set create news", "clicktrail.db.lock"),
        (FORGET, "journal.db"),
        (FORGET, "journal.db.lock"),
        ("check", "journal.db"),
        ("check", "clicktrail.db"),
    ],
)
def test_a_file_of_another_owner_is_told_by_its_name(shared: Path, words: str, name: str) -> None:
    data = shared / "data"
    KeyFile(data / "keys.json").create_if_missing()
    assert clicktrail(shared, ["identity", "list", "--data", str(data)]).returncode == 0
    for made in ("webhook-secret", "api-token", "journal.db", "journal.db.lock"):
        (data / made).touch(0o600)
        (data / made).write_bytes(b"" if made.startswith("journal") else b"a secret")
    for path in (data, *data.iterdir()):
        os.chown(path, *((0, 0) if path.name == name else (NOBODY, NOBODY)))
    done = as_nobody(shared, [*words.split(), "--data", str(data)])
    said = " ".join((done.stdout + done.stderr).replace("│", "").split())
    assert f"Permission denied: {data / name} belongs to root, and this runs as nobody" in said
    assert "Errno" not in said
    assert "backup" not in said
    assert done.returncode == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
@pytest.mark.parametrize(("words", "name"), [(PUBLISHER, "webhook-secret"), (API, "api-token")])
def test_a_file_without_a_secret_is_refused(
    tmp_path: Path, words: str, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    done = clicktrail(tmp_path, [*words.split(), "--data", str(tmp_path)])
    assert done.returncode == 1
    assert f"clicktrail: {tmp_path / name} holds no secret, which is a line of ASCII" in done.stderr


@AS_ROOT
def test_a_data_folder_that_cannot_be_written_is_refused(shared: Path) -> None:
    data = shared / "data"
    data.mkdir()
    serve = ["serve", "--smarthost", "maildir:/tmp/m", *AT_ANY_PORT, "--data"]
    for folder in (data, shared / "new"):
        done = as_nobody(shared, [*serve, str(folder)])
        assert done.returncode == 1
        assert f"clicktrail: data = '{folder}' cannot be used: " in done.stderr
        assert "belongs to root, and this runs as nobody" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert list(data.iterdir()) == []


@AS_ROOT
def test_what_root_makes_in_the_folder_of_another_belongs_to_that_one(shared: Path) -> None:
    data = shared / "data"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    KeyFile(data / "keys.json").create_if_missing()
    for words in ("access-key create", "configuration-set create news", "keys rotate"):
        assert clicktrail(shared, [*words.split(), "--data", str(data)]).returncode == 0
    owners = {path.name: path.stat().st_uid for path in data.iterdir()}
    assert {"keys.json", "vault-key", "clicktrail.db"} <= set(owners)
    assert set(owners.values()) == {NOBODY}
    done = as_nobody(shared, ["configuration-set", "show", "news", "--data", str(data)])
    assert done.returncode == 0, done.stderr


NOT_PUBLIC = "is not called: addresses that are not public must be listed in webhook.allow"


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("--webhook https://10.0.0.1/hook", f"https://10.0.0.1 {NOT_PUBLIC}"),
        ("--webhook https://[::ffff:127.0.0.1]:8/", f"https://[::ffff:127.0.0.1]:8 {NOT_PUBLIC}"),
        ("--webhook https://169.254.169.254/", f"https://169.254.169.254 {NOT_PUBLIC}"),
        ("--webhook http://localhost:8080/hook", f"http://localhost:8080 {NOT_PUBLIC}"),
        ("--webhook http://a.localhost./hook", f"http://a.localhost. {NOT_PUBLIC}"),
        ("--arn arn:clicktrail:webhook:::http://8.8.8.8/", "without https only networks listed"),
        ("--webhook https://hooks.example/x", ""),
        ("--webhook https://8.8.8.8/x", ""),
        ("--stream s", ""),
        (
            "--stream s --type REJECT --type CLICK --type BOUNCE",
            "BOUNCE, REJECT: such events never",
        ),
        ("--stream s --type SEND --type RENDERING_FAILURE", ""),
    ],
)
def test_a_destination_that_gets_nothing_is_told_when_it_is_made_and_changed(
    house: Path, words: str, note: str
) -> None:
    for command in ("add", "update"):
        given = ["event-destination", command, "news", "noted", *words.split()]
        done = invoke([*given, "--data", str(house / "clicktrail-data")])
        assert done.exit_code == 0, done.output
        assert note in done.stderr
        assert done.stderr.count("Note: ") == bool(note)
    removed = clicktrail(house, ["event-destination", "remove", "news", "noted"])
    assert removed.returncode == 0


def test_a_webhook_in_an_allowed_network_gets_no_note(house: Path) -> None:
    allowed = {"CLICKTRAIL_WEBHOOK_ALLOW": "127.0.0.0/8"}
    words = ["event-destination", "add", "news", "allowed", "--webhook", "http://localhost:1/"]
    done = clicktrail(house, words, environment=allowed)
    assert (done.returncode, done.stderr) == (0, "")
