"""Every program of the examples, run as its text and the README say."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.clients import ROOT, environment_for, run
from support.postgres import NEEDS_POSTGRES
from support.service import Service, hrefs, html_of

EXAMPLES = ROOT / "examples"
TARGET = "https://example.com/books"
PATIENCE = 600


def test_every_program_of_the_examples_is_run_by_a_test() -> None:
    """What is no program of its own is run by a test of the program that it is a part of."""
    run_by = {
        "boto3_send": "test_the_example_sends_a_tracked_email_and_may_be_run_again",
        "cluster": "test_the_cluster_loses_parts_and_no_click_and_ends_by_itself",
        "demo": "test_the_demo_shows_an_email_going_in_and_a_click_coming_out",
        "library_django": "test_django_tracks_sends_on_and_takes_webhooks",
        "library_flask": "test_flask_sends_on_and_takes_webhooks",
        "library_script": "test_the_script_makes_links_and_opens_them",
        # A view of a Django project: it is put into one.
        "django_anymail_view": "test_a_webhook_reaches_django_anymail_by_the_view_of_the_examples",
    }
    assert set(run_by) == {path.stem for path in EXAMPLES.glob("*.py")}
    tests = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert set(run_by.values()) <= tests


@pytest.mark.long
def test_the_demo_shows_an_email_going_in_and_a_click_coming_out(tmp_path: Path) -> None:
    """`make demo`, whose folder is made where it is run; settings for real do not touch it."""
    (tmp_path / "clicktrail.toml").write_text('tracking.host = "click.example.com"\n')
    done = subprocess.run(
        [sys.executable, EXAMPLES / "demo.py"],
        cwd=tmp_path,
        env={**os.environ, "CLICKTRAIL_TRACKING_HOST": "click.example.net"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HTTP 302, Location: https://www.paper-harbour.example/books/" in done.stdout
    assert "It works." in done.stdout
    levels = [json.loads(line)["level"] for line in done.stderr.splitlines()]  # the service's log
    assert set(levels) <= {"info"}, done.stderr


def test_the_example_sends_a_tracked_email_and_may_be_run_again(service: Service) -> None:
    environment = as_exported(service, "send", "manage")
    command = (sys.executable, EXAMPLES / "boto3_send.py", "news@shop.example", "reader@gmail.com")
    for number in (1, 2):
        message_id = run(command, environment).removeprefix("Sent: ").strip()
        tracked, unsubscribe = hrefs(html_of(service.arrived()))
        assert unsubscribe == "https://example.com/unsubscribe"
        assert service.request(tracked).location == TARGET
        event = service.wait_for_events("clicks", number)[-1]
        assert event["mail"]["messageId"] == message_id
        assert event["mail"]["tags"]["campaign"] == ["week47"]
        assert event["click"]["linkTags"] == {"product": ["book"]}


def test_the_example_says_why_it_could_not_send(service: Service) -> None:
    environment = as_exported(service, "send")
    command = (sys.executable, EXAMPLES / "boto3_send.py", "a@b.example", "c@d.example")
    told = run(command, environment, status=1)
    assert "Not sent" in told
    assert "manage" in told
    assert "Traceback" not in told


def test_the_example_sends_nothing_to_amazon(service: Service) -> None:
    environment = as_exported(service, "send")
    del environment["AWS_ENDPOINT_URL_SESV2"]
    command = (sys.executable, EXAMPLES / "boto3_send.py", "a@b.example", "c@d.example")
    assert "AWS_ENDPOINT_URL_SESV2 is not set" in run(command, environment, status=2)


def as_exported(service: Service, *scopes: str) -> dict[str, str]:
    """Return what the README exports, with this service's address and a new access key."""
    lines = re.findall(r"^\$ export (AWS_.*)$", (ROOT / "README.md").read_text("utf-8"), re.M)
    exported = dict(word.split("=", 1) for line in lines for word in line.split())
    given = environment_for(service, scopes)
    return {name: given[name] for name in exported}


@NEEDS_POSTGRES
@pytest.mark.long
def test_the_cluster_loses_parts_and_no_click_and_ends_by_itself() -> None:
    """`make cluster`."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / "cluster.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 nodes are there" in done.stdout
    assert "Nothing was lost" in done.stdout
    assert done.stderr == ""
