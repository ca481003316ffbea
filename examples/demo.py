"""The main job, for real: an email goes in, a click comes out.

    python examples/demo.py            # show it, then end
    python examples/demo.py --keep     # … and keep serving, to click yourself

Starts the whole service on free loopback ports, with a webhook receiver beside it, sends
`newsletter.html` by SMTP, clicks a link of the email that arrives, and shows what comes of it.
Everything is in ``clicktrail-demo/``, which is made anew each time.
"""

import argparse
import datetime
import email.policy
import email.utils
import ipaddress
import json
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.table import Table
from standardwebhooks import Webhook

T = TypeVar("T")
HERE = Path(__file__).resolve().parent
FOLDER = Path("clicktrail-demo")
DATA = FOLDER / "data"
MAILBOX = FOLDER / "mailbox"
SETTINGS = FOLDER / "clicktrail.toml"
PATIENCE = 60.0
console = Console(highlight=False, soft_wrap=True)


class Receiver(ThreadingHTTPServer):
    """A webhook receiver that checks signatures and keeps what came."""

    def __init__(self, secret: str) -> None:
        self.webhook = Webhook(secret)
        self.events: list[dict[str, object]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # Raises for a wrong signature: then the service is answered 500 by http.server.
        event = self.server.webhook.verify(body, dict(self.headers))
        self.server.events.append(event)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the demo's output to itself."""


def main() -> int:
    """Run the demo; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--keep", action="store_true", help="keep serving at the end")
    keep = options.parse_args().keep

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    # For the service and for the commands alike: the receiver of this demo is on this machine.
    SETTINGS.write_text('webhook.allow = "127.0.0.0/8"\n')
    certificate, key = make_certificate()
    doors = [hold_port() for _ in range(5)]
    smtp, http, https, api, pages = (door.getsockname()[1] for door in doors)
    secret = "whsec_" + "Y2xpY2t0cmFpbC1kZW1vLXNlY3JldC0wMDAx"
    receiver = Receiver(secret)

    step("1. Start the service: SMTP in, redirect, publisher")
    serve = [
        *("serve", "--smarthost", f"maildir:{MAILBOX}"),
        *("--smtp-listen", f"127.0.0.1:{smtp}", "--api-listen", f"127.0.0.1:{api}"),
        *("--redirect-listen", f"127.0.0.1:{http}", "--redirect-tls-listen", f"127.0.0.1:{https}"),
        *("--redirect-tls-certificate", str(certificate), "--redirect-tls-key", str(key)),
        *("--metrics-listen", "", "--console-listen", f"127.0.0.1:{pages}"),
        # A browser trusts no certificate of our own making: to click by hand, use http alone.
        *(("--tracking-scheme", "http") if keep else ()),
    ]
    service = subprocess.Popen(
        command(*serve),
        env={**environment(), "CLICKTRAIL_WEBHOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        show_start(service)
        turn_on(f"http://127.0.0.1:{receiver.server_port}/hook")
        return show(smtp, certificate, receiver, service if keep else None)
    finally:
        service.terminate()
        service.wait(30)
        receiver.shutdown()


def turn_on(hook: str) -> None:
    """Make the configuration set that the newsletter names."""
    step("2. Turn click tracking on: a configuration set with two event destinations")
    cli("configuration-set", "create", "news")
    cli("event-destination", "add", "news", "to-stream", "--stream", "clicks", "--type", "CLICK")
    cli("event-destination", "add", "news", "to-webhook", "--webhook", hook, "--type", "CLICK")


def show(
    smtp: int, certificate: Path, receiver: Receiver, kept: subprocess.Popen[str] | None
) -> int:
    """Send, click, and show what arrives; then serve on, where asked to."""
    step("3. Send a newsletter by SMTP, as an application would")
    sent = newsletter()
    with smtplib.SMTP("127.0.0.1", smtp) as client:
        client.send_message(sent)
    console.print(f"   From {sent['From']} to {sent['To']}, with X-SES-CONFIGURATION-SET: news")

    arrived = wait_for(lambda: next(iter((MAILBOX / "new").glob("*")), None), "the email")
    html = html_of(BytesParser(policy=email.policy.default).parsebytes(arrived.read_bytes()))
    (FOLDER / "newsletter.html").write_text(html, encoding="utf-8")
    links = compare(html_of(sent), html)

    step("4. Click “New science fiction releases”")
    link = next(new for old, new in links if "the-slow-comet" in old and new != old)
    time.sleep(1.2)  # who clicks in the first second is suspected to be a machine
    with httpx.Client(verify=ssl.create_default_context(cafile=certificate)) as browser:
        answer = browser.get(link, headers={"User-Agent": "Mozilla/5.0 (X11; Linux) demo"})
    console.print(f"   HTTP {answer.status_code}, Location: {answer.headers['location']}")

    step("5. The notification, as it arrived at the webhook")
    event = wait_for(lambda: next(iter(receiver.events), None), "the webhook")
    console.print_json(json.dumps(event))
    step("   … and in the built-in stream")
    tail = wait_for(lambda: cli("events", "tail", "--stream", "clicks", quiet=True), "the stream")
    streamed = json.loads(tail)
    console.print(f"   {streamed['eventType']} {streamed['eventId']} {streamed['click']['url']}")

    step("6. The statistics")
    cli("statistics")
    if answer.status_code != 302 or not streamed["click"]["linkTags"]:
        console.print("[red]Something is missing: please report it.")
        return 1
    step("It works. What next")
    console.print(
        f"   The email that arrived: {arrived}\n"
        "   See what happens to an email of yours:  .venv/bin/clicktrail rewrite --report < my.eml"
        " > out.eml\n"
        "   Put it before your mail server:         .venv/bin/clicktrail serve --smarthost"
        " smtp://127.0.0.1:25\n"
        "   Everything else:                        README.md"
    )
    if kept is not None:
        page = (FOLDER / "newsletter.html").resolve().as_uri()
        step(f"Serving on. Open {page} in a browser and click; Ctrl-C ends it")
        try:
            tail_command = command("events", "tail", "--follow", "--lines", "0")
            subprocess.run(tail_command, env=environment(), check=False)
        except KeyboardInterrupt:
            console.print()
    return 0


def newsletter() -> EmailMessage:
    """Return the email that is sent."""
    message = EmailMessage()
    message["From"] = "Paper & Harbour <ines@paper-harbour.example>"
    message["To"] = "Mika Reader <mika@gmail.com>"
    message["Subject"] = "Four books for long evenings"
    message["Date"] = email.utils.localtime()
    message["Message-ID"] = "<week47@paper-harbour.example>"
    message["X-SES-CONFIGURATION-SET"] = "news"
    message["X-SES-MESSAGE-TAGS"] = "campaign=week47, audience=readers"
    message.set_content("Four books: http://www.paper-harbour.example/new\n")
    html = (HERE / "newsletter.html").read_text(encoding="utf-8")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    return message


def html_of(message: EmailMessage) -> str:
    """Return the HTML part of an email."""
    part = message.get_body(("html",))
    assert part is not None
    content: str = part.get_content()
    return content


def compare(before: str, after: str) -> list[tuple[str, str]]:
    """Show each link before and after; return the pairs."""
    pattern = re.compile(r"""<(?:a|v:roundrect)\b[^>]*?\bhref=["']([^"']*)["']""", re.I)
    pairs = list(zip(pattern.findall(before), pattern.findall(after), strict=True))
    table = Table("Link in the email that was sent", "… and in the email that arrived")
    for old, new in dict.fromkeys(pairs):
        shown = "unchanged" if old == new else new[:44] + "…"
        table.add_row(old.replace("&amp;", "&")[:56], shown, style="dim" if old == new else None)
    console.print(table)
    return [(old.replace("&amp;", "&"), new) for old, new in pairs]


def step(title: str) -> None:
    """Print a heading."""
    console.print(f"\n[bold]{title}[/]")


def command(*arguments: str) -> list[str]:
    """Return a `clicktrail` command on the demo's data folder."""
    return [sys.executable, "-m", "clicktrail", *arguments, "--data", str(DATA)]


def environment() -> dict[str, str]:
    """Return the environment of commands: settings for real, lying around here, are not theirs."""
    others = {name: at for name, at in os.environ.items() if not name.startswith("CLICKTRAIL_")}
    return {**others, "CLICKTRAIL_CONFIG": str(SETTINGS)}


def cli(*arguments: str, quiet: bool = False) -> str:
    """Run a `clicktrail` command; return what it printed."""
    if not quiet:
        console.print(f"   [cyan]$ clicktrail {' '.join(arguments)}[/]", soft_wrap=True)
    # What is wrong is said on standard error, which is this program's too.
    done = subprocess.run(
        command(*arguments), env=environment(), check=False, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"clicktrail {' '.join(arguments)} failed: see above.")
    if not quiet:
        for line in done.stdout.splitlines():
            console.print("   " + line, markup=False, soft_wrap=True)
    return done.stdout


def show_start(service: subprocess.Popen[str]) -> None:
    """Show what the service says until it is ready."""
    assert service.stdout is not None
    for line in service.stdout:
        console.print("   " + line.rstrip(), markup=False)
        if line.startswith("Ready"):
            return
    raise SystemExit("The service did not start: see above.")


def wait_for(look: Callable[[], T | None], what: str) -> T:
    """Return what ``look`` finds, as soon as it finds something."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.02)
    raise SystemExit(f"{what} did not arrive within {PATIENCE:.0f} seconds")


def hold_port() -> socket.socket:
    """Bind to a port that the system chooses: only who is told it may listen there.

    Two sockets with ``SO_REUSEADDR`` may have one port, while at most one listens (socket(7)).
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def make_certificate() -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1, so that https links can be clicked too."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Clicktrail demo")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = FOLDER / "certificate.pem", FOLDER / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


if __name__ == "__main__":
    sys.exit(main())
