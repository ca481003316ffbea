"""The command line, on a real data folder: what it says, and its exit status."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.models import ArgumentInfo, OptionInfo

from clicktrail.cli import build
from clicktrail.keys.ringfile import KeyFile
from support.command_line import invoke

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    KeyFile(tmp_path / "clicktrail-data" / "keys.json").create_if_missing()
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def run() -> Run:
    """Run a command that must end with ``status``; return all it printed."""

    def run_it(*arguments: str, status: int = 0, given: bytes | None = None) -> str:
        result = invoke(arguments, given)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.output

    return run_it


def leaves(app: typer.Typer, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the words of every command."""
    found = [
        (*prefix, command.name or getattr(command.callback, "__name__", "?"))
        for command in app.registered_commands
    ]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        found += leaves(group.typer_instance, (*prefix, group.name or "?"))
    return found


@pytest.mark.parametrize("words", leaves(build()), ids=" ".join)
def test_every_command_has_help_and_takes_the_data_folder(run: Run, words: tuple[str, ...]) -> None:
    shown = run(*words, "--help")
    assert "--data" in shown
    assert "--config" in shown


def test_a_configuration_set_from_beginning_to_end(run: Run) -> None:
    assert "Click tracking is off" in run("configuration-set", "create", "news")
    run("event-destination", "add", "news", "log", "--stream", "clicks", "--type", "click")
    run(
        "configuration-set",
        "event-destination",
        "add",
        "news",
        "hook",
        "--webhook",
        "https://example.com/x",
        "--type",
        "CLICK",
        "--type",
        "SEND",
        "--disabled",
    )
    shown = json.loads(run("configuration-set", "show", "news", "--json"))
    assert shown["clickTracking"] is True
    assert sorted(shown["eventDestinations"], key=lambda d: str(d["name"])) == [
        {
            "name": "hook",
            "enabled": False,
            "types": ["CLICK", "SEND"],
            "arn": "arn:clicktrail:webhook:::https://example.com/x",
        },
        {
            "name": "log",
            "enabled": True,
            "types": ["CLICK"],
            "arn": "arn:clicktrail:stream:::clicks",
        },
    ]
    run("event-destination", "update", "news", "log", "--disable")
    assert json.loads(run("configuration-set", "show", "news", "--json"))["clickTracking"] is False
    run("engagement-statistics", "enable", "news")
    assert json.loads(run("configuration-set", "list", "--json"))[0]["clickTracking"] is True
    assert "is off" in run("engagement-statistics", "disable", "news")
    run("event-destination", "remove", "news", "hook")
    assert "clicks" in run("configuration-set", "show", "news")
    run("configuration-set", "delete", "news", "--yes")
    assert "no configuration set yet" in run("configuration-set", "list")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("configuration-set create a/b", "'a/b' is not a valid name"),
        ("configuration-set create there", "there"),
        ("configuration-set show nowhere", "nowhere"),
        ("configuration-set delete nowhere --yes", "nowhere"),
        ("configuration-set update there --settle soon", "'soon' is no time"),
        ("configuration-set update there --settle 11m", "660 seconds"),
        ("configuration-set update there --thresholds bursts=1s", "no threshold 'bursts'"),
        ("configuration-set update there --thresholds burst=1m", "burst='1m' is no time"),
        ("configuration-set update there --thresholds burst=41s", "0 to 40s"),
        ("configuration-set update there --thresholds machine=0", "1 to 100"),
        ("configuration-set create new --thresholds suspect=3", "give machine as much"),
        ("configuration-set create new --thresholds gateway=2", "expected 3 to 80, or 0"),
        ("event-destination add nowhere d --stream s", "nowhere"),
        ("event-destination add there d", "--stream, --webhook or --arn"),
        ("event-destination add there d --stream s --webhook https://a.example/", "one of"),
        ("event-destination add there d --arn arn:aws:sns:x", "arn:aws:sns:x"),
        ("event-destination add there d --webhook ftp://a.example/", "ftp://a.example/"),
        ("event-destination update there d --disable", "no event destination 'd'"),
        ("event-destination remove there d", "d"),
        ("engagement-statistics enable nowhere", "nowhere"),
        ("identity create x.example --configuration-set nowhere", "nowhere"),
        ("identity create not..a..domain", "not..a..domain"),
        ("identity bind nowhere there", "nowhere"),
        ("identity bind nowhere", "--none"),
        ("smtp-user delete nobody", "nobody"),
        ("keys retire 1 --yes", "rotate first"),
        ("keys retire 7 --yes", "no key 7"),
        ("link open https://example.com/", "not a tracking link"),
        ("link open http://h/c/AAAA", "token"),
        ("events replay", "--all"),
        ("recipients forget anna --yes", "'anna' is no email address"),
        ("statistics --since tomorrow", "'tomorrow'"),
        ("statistics --provider AOL", "'AOL'"),
        ("serve", "smarthost"),
        ("serve --smarthost mail.example.com", "smarthost.url = 'mail.example.com'"),
        ("serve --smarthost maildir:x --role mail", "'mail'"),
        ("serve --smarthost maildir:x --smtp-listen x", "smtp.listen"),
        ("serve --smarthost maildir:x --config none.toml", "none.toml"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(run: Run, words: str, says: str) -> None:
    run("configuration-set", "create", "there")
    said = run(*words.split(), status=1)
    assert said.startswith("clicktrail: ")
    assert says in said
    assert said.count("\n") == 1


def test_identities_and_smtp_users(run: Run) -> None:
    run("configuration-set", "create", "news")
    first = run("identity", "create", "Example.COM", "--configuration-set", "news")
    assert "only identities may send" in first
    assert "only identities" not in run("identity", "create", "a@example.com")
    listed = json.loads(run("identity", "list", "--json"))
    assert [(i["name"], i["configurationSet"]) for i in listed] == [
        ("a@example.com", None),
        ("example.com", "news"),
    ]
    run("event-destination", "add", "news", "log", "--stream", "clicks", "--type", "click")
    asked = run("configuration-set", "delete", "news", status=1, given=b"n\n")
    assert "Its event destinations go with it: log." in asked
    assert "Bound to none from then on: example.com." in asked
    run("identity", "delete", "example.com", "--yes")
    assert "example.com" in run("identity", "list")
    password = run("smtp-user", "create", "app").splitlines()[-1]
    assert len(password) >= 20
    assert "app" in run("smtp-user", "list")
    run("smtp-user", "delete", "app")
    assert "no SMTP user yet" in run("smtp-user", "list")


def test_keys_are_listed_rotated_and_retired(run: Run) -> None:
    assert "seals and opens" in run("keys", "list")
    run("keys", "rotate")
    run("keys", "retire", "1", "--yes")
    [key] = json.loads(run("keys", "list", "--json"))
    assert (key["id"], key["seals"]) == (2, True)


EMAIL = (
    b"From: a@example.com\r\nTo: b@example.org\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n"
    b'<a href="http://a.example/x?y=1&amp;z=2" postbox:tags="k:v">x</a>\r\n'
    b'<a href="mailto:c@d">y</a>\r\n'
)


def test_an_email_is_rewritten_offline_and_its_link_opened(run: Run) -> None:
    out = run("rewrite", "--tracking-host", "t.example", given=EMAIL)
    [link] = re.findall(r'href="(http://t\.example/c/[^"]+)"', out)
    held = json.loads(run("link", "open", link, "--json"))
    assert (held["url"], held["link"], held["key"]) == ("http://a.example/x?y=1&z=2", 0, 1)
    assert "http://a.example/x?y=1&z=2" in run("link", "open", link)
    assert KeyFile(Path("clicktrail-data/keys.json")).open(link.rpartition("/")[2]).link == 0


def test_the_report_tells_each_link_what_happened_and_why(run: Run) -> None:
    said = run("rewrite", "--report", given=EMAIL)
    assert re.search(r"http://a\.example/x\?y=1&z=2.*tracked", said)
    assert re.search(r"mailto:c@d.*unchanged", said)
    assert "k:v" in said
    plain = run("rewrite", "--report", given=b"Subject: s\r\n\r\nhello\r\n")
    assert "Not tracked (no-html)" in plain
    assert "hello" in plain


def test_settings_are_shown_with_their_source_and_secrets_are_not(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("clicktrail.toml").write_text('[webhook]\nsecret = "whsec_hush"\n')
    monkeypatch.setenv("CLICKTRAIL_SMTP_LISTEN", "127.0.0.1:2626")
    shown = run("settings")
    assert "whsec_hush" not in shown
    rows = {row["setting"]: row for row in json.loads(run("settings", "--json"))}
    assert rows["smtp.listen"]["value"] == "127.0.0.1:2626"
    assert rows["smtp.listen"]["from"] == "CLICKTRAIL_SMTP_LISTEN"
    assert rows["webhook.secret"]["value"] == "(hidden)"


def numbers(app: typer.Typer) -> Iterator[tuple[str, OptionInfo | ArgumentInfo]]:
    """Yield the whole numbers that commands take, each with what is said of it."""
    for command in app.registered_commands:
        assert command.callback is not None
        hints = get_type_hints(command.callback, include_extras=True)
        for name, hint in hints.items():
            if get_origin(hint) is Annotated and get_args(hint)[0] in (int, int | None):
                info = get_args(hint)[1]
                yield f"{command.callback.__name__} {name}", info
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from numbers(group.typer_instance)


def test_whole_numbers_have_a_limit_that_databases_take() -> None:
    found = dict(numbers(build()))
    assert len(found) > 5
    # Neither of the two comes to a database: a key's number, and JSON.
    unbounded = {name for name, info in found.items() if info.max is None}
    assert {name.split()[-1] for name in unbounded} <= {"key", "link_limit"}, unbounded
    assert max(info.max for info in found.values() if info.max is not None) < 2**63


def test_empty_lists_say_what_to_do(run: Run) -> None:
    assert "Nothing was sent" in run("statistics")
    assert "no dead letters" in run("events", "dead")
    assert "identity create" in run("identity", "list")
    assert run("events", "tail") == ""
    assert "0 dead letters" in run("events", "replay", "--all")


def test_tables_do_not_pass_control_characters_on() -> None:
    from clicktrail.commands.shared.common import escape

    assert escape("a\x1b[31mb") == "a\\x1b\\[31mb"
