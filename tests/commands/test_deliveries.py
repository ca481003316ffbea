"""``event-destination test``, ``list`` and ``show``, on a real data folder."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from clicktrail.keys.ringfile import KeyFile
from support.command_line import invoke
from support.stream_servers import Nats

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that must end with ``status``; return all it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    KeyFile(tmp_path / "clicktrail-data" / "keys.json").create_if_missing()

    def run_it(*arguments: str, status: int = 0) -> str:
        result = invoke(list(arguments))
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.output

    run_it("configuration-set", "create", "news")
    return run_it


def add(run: Run, name: str, *where: str) -> None:
    run("event-destination", "add", "news", name, *where)


def test_a_test_event_arrives_in_a_stream_with_every_field_and_a_flag(run: Run) -> None:
    add(run, "log", "--stream", "clicks")
    said = run("event-destination", "test", "news", "log")
    found = re.fullmatch(r"news/log has taken the test event (\S+)\n", said)
    assert found is not None
    event = json.loads(run("events", "tail"))
    assert (event["eventType"], event["test"], event["eventId"]) == ("Click", True, found[1])
    assert event["mail"]["messageId"].startswith("test-")
    assert event["mail"]["tags"]["ses:configuration-set"] == ["news"]
    assert event["click"]["link"] == "https://example.com/"
    assert run("statistics") == "Nothing was sent or clicked.\n"


def test_a_test_event_arrives_at_a_real_server(run: Run, tmp_path: Path) -> None:
    import asyncio

    with Nats(tmp_path / "nats") as server:
        add(run, "data", "--arn", f"arn:clicktrail:nats:::{server.address}/clicks")
        test = ("event-destination", "test", "news", "data")
        assert "must be listed in nats.servers" in run(*test, status=1)
        listed = ("--nats-servers", server.address)
        assert "no JetStream stream takes the subject" in run(*test, *listed, status=1)
        asyncio.run(server.make_stream("clicks", "clicks"))
        assert "has taken the test event" in run(*test, *listed)
        [(id_, data)] = asyncio.run(server.stream("clicks"))
        assert json.loads(data)["eventId"] == id_


@pytest.mark.parametrize(
    ("arn", "flags", "why"),
    [
        (
            "arn:clicktrail:kafka:::127.0.0.1:1/t",
            ["--kafka-servers", "127.0.0.1:1", "--webhook-timeout", "6"],
            "refused",
        ),
        ("arn:clicktrail:nats:::127.0.0.1:1/t", ["--nats-servers", "127.0.0.1:1"], "Connect call"),
        ("arn:aws:kinesis:eu-west-1:1:stream/t", ["--kinesis-endpoint", "http://127.0.0.1:1"], ""),
        ("arn:aws:firehose:eu-west-1:1:deliverystream/t", [], "no AWS credentials"),
        ("arn:clicktrail:webhook:::https://127.0.0.1:1/", [], "must be listed in webhook.allow"),
    ],
)
def test_why_a_test_event_was_not_taken_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch, arn: str, flags: list[str], why: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    add(run, "data", "--arn", arn)
    said = run(
        *("event-destination", "test", "news", "data", "--webhook-timeout", "2"), *flags, status=1
    )
    assert said.startswith("clicktrail: news/data did not take the test event: ")
    assert why in said


def test_what_is_not_there_is_said(run: Run) -> None:
    said = run("event-destination", "test", "news", "none", status=1)
    assert said == "clicktrail: configuration set 'news' has no event destination 'none'\n"
    assert "there is no configuration set 'none'" in run(
        "event-destination", "show", "none", "none", status=1
    )


def test_how_destinations_are_doing_is_listed(run: Run) -> None:
    assert "There is no event destination" in run("event-destination", "list")
    add(run, "log", "--stream", "clicks")
    add(run, "data", "--arn", "arn:clicktrail:nats:::127.0.0.1:1/clicks")
    listed = json.loads(run("event-destination", "list", "news", "--json"))
    assert [each["name"] for each in listed] == ["log", "data"]
    shown = json.loads(run("event-destination", "show", "news", "data", "--json"))
    assert shown == listed[1]
    assert shown == {
        "configurationSet": "news",
        "name": "data",
        "enabled": True,
        "types": ["CLICK"],
        "arn": "arn:clicktrail:nats:::127.0.0.1:1/clicks",
        "waiting": 0,
        "lagSeconds": 0.0,
        "dead": 0,
        "lastSuccess": None,
        "lastFailure": None,
        "lastError": "",
    }
    assert "news/data" in run("event-destination", "list")
    assert "Oldest has waited" in run("event-destination", "show", "news", "data")
