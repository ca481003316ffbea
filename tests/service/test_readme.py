"""The README as a newcomer follows it: its settings, its commands as they stand, its email."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.service import PATIENCE, Service, email_with, hrefs, html_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LOOPBACK = "127.0.0.0/8"
HOST = "click.example.com"
OF_A_NEWCOMER = re.compile(r"^\$ (clicktrail (?!serve).*)$", re.M)


@pytest.mark.early
def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path, port: int) -> None:
    [settings] = re.findall(r"```toml\n(.*?)```", README, re.S)
    [link] = re.findall(r"```html\n(.*?)```", README, re.S)
    # The login is for a mail server; here a folder takes the emails.
    without_login = re.sub(r"^(username|password) = .*\n", "", settings, flags=re.M)
    (tmp_path / "clicktrail.toml").write_text(without_login)
    (tmp_path / "my.eml").write_bytes(email_with(link).as_bytes())
    # Certificates come in `test_certificates`: here nobody is asked, and nobody listens on 443.
    flags = (
        *("--config", str(tmp_path / "clicktrail.toml"), "--tracking-https-host", HOST),
        *("--redirect-tls-listen", f"127.0.0.1:{port}", "--webhook-allow", LOOPBACK),
        *("--acme-directory", "https://127.0.0.1:1/directory", "--acme-resolver", "127.0.0.1:1"),
    )
    with Service(tmp_path, *flags) as service:
        commands = OF_A_NEWCOMER.findall(README)
        there = next(n for n, each in enumerate(commands) if each.startswith("clicktrail events"))
        for command in commands[:there]:
            typed(command, service)
        [tracked] = hrefs(html_of(service.send(email_with(link))))
        assert tracked.startswith(f"https://{HOST}/c/")
        assert service.request(tracked).location == "https://example.com/books"
        [event] = service.wait_for_events("clicks", 1)
        assert event["click"]["linkTags"] == {"product": ["book"], "genre": ["fiction"]}
        service.wait_for_clicks("news", 1)
        told = {
            command.split()[1]: typed(command, service, tracked) for command in commands[there:]
        }
        assert json.loads(told["events"])["eventId"] == event["eventId"]
        assert "Machine" in told["statistics"]
        assert "https://example.com/books" in told["link"]
        [rewritten] = hrefs(html_of((tmp_path / "out.eml").read_bytes()))
        assert rewritten.startswith(f"https://{HOST}/c/")


def typed(command: str, service: Service, tracked: str = "") -> str:
    """Type a line of the README in the folder of the service; return what it prints.

    The link stands where the README leaves it out, nothing is followed for ever, and the webhook
    leads to a port of this machine that nobody listens on.
    """
    line = command.replace(f"https://{HOST}/c/…", tracked).replace(" --follow", "")
    line = line.replace("--webhook https://example.com/", "--webhook http://127.0.0.1:9/")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        line,
        shell=True,
        cwd=service.folder,
        env={
            **os.environ,
            "PATH": path,
            "CLICKTRAIL_DATA": str(service.data),
            "CLICKTRAIL_WEBHOOK_ALLOW": LOOPBACK,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout
