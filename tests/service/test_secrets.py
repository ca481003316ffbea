"""Everything fails that can, with marked secrets and addresses: no line and no page tells them."""

import smtplib
import socket
import sqlite3
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import botocore.exceptions
import pytest

from clicktrail.base.arn import WEBHOOK_PREFIX
from support import forked
from support.faults import filled, small_disk
from support.service import AT_ANY_PORT, PATIENCE, Service, email_with, hrefs, html_of, wait_for
from support.ses import access_key, ses_client
from support.visitor import Visitor, account

PASSWORD = "Mark3d-Sm@rthost/Passw0rd"
TOKEN = "Mark3dApiT0ken"
STREAM_PASSWORD = "Mark3dStreamPassw0rd"
JOURNAL_PASSWORD = "Mark3dJ0urnalPassw0rd"
WEBHOOK_SECRET = b64encode(b"Mark3d webhook signing secret").decode()
URL_TOKEN = "Mark3dUrlT0ken"
USER_PASSWORD = "Mark3dUserPassw0rd"
WRONG_PASSWORD = "Mark3dWr0ngPassw0rd"
SENDER, READER = "marked-sender@example.com", "marked-reader@gmail.com"
SUBJECT = "Mark3dSubject"
TEXT = "Mark3dText"
SECRETS = [PASSWORD, TOKEN, STREAM_PASSWORD, JOURNAL_PASSWORD, WEBHOOK_SECRET, URL_TOKEN]
SECRETS += [USER_PASSWORD, WRONG_PASSWORD]
LABELS = ("hook", "deep", "kafka", "nats")
PEOPLE = [SENDER, READER, "marked-odd", SUBJECT, TEXT]


def encodings(secret: str) -> set[str]:
    """Return the forms in which a secret goes over wires."""
    forms = {secret, quote(secret, safe=""), f"\0shop\0{secret}"}
    return forms | {b64encode(form.encode()).decode().rstrip("=") for form in set(forms)}


def found_in(text: str, marks: list[str]) -> list[str]:
    """Return the marks that are told in a text, each with what stands before it."""
    return [
        text[max(0, at - 200) : at + len(form)]
        for mark in marks
        for form in encodings(mark)
        if (at := text.lower().find(form.lower())) >= 0
    ]


class Parrot:
    """A mail server that says back what it heard, refuses to sign anybody in, and hangs."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.silent = False
        self.trusting = False
        self.taking = False
        self.taken: list[bytes] = []
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, client.makefile("rwb") as stream:
            if self.silent:
                stream.read()
                return
            self._say(stream, b"220 parrot")
            in_email, email = False, b""
            for line in stream:
                heard = line.strip()
                verb = heard.split(b" ")[0].upper()
                if in_email and heard != b".":
                    email += line
                elif in_email and self.taking:
                    in_email = False
                    self.taken.append(email)
                    self._say(stream, b"250 2.0.0 on its way to " + READER.encode())
                elif in_email:
                    in_email = False
                    self._say(stream, b"554 5.7.1 I will not have " + SENDER.encode())
                elif verb == b"EHLO":
                    self._say(stream, b"250-parrot\r\n250 AUTH PLAIN")
                elif verb == b"AUTH":
                    self._say(stream, b"235 ok" if self.trusting else b"535 5.7.8 wrong: " + heard)
                elif verb == b"DATA":
                    in_email, email = True, b""
                    self._say(stream, b"354 go on")
                elif verb in (b"MAIL", b"RSET", b"QUIT") or (
                    verb == b"RCPT" and b"no-" not in heard
                ):
                    self._say(stream, b"250 ok " + heard)
                else:
                    self._say(stream, b"550 5.1.1 no: " + heard)

    @staticmethod
    def _say(stream: Any, answer: bytes) -> None:
        stream.write(answer + b"\r\n")
        stream.flush()


def environment(nowhere: int) -> dict[str, str]:
    """Return the secrets as an operator sets them; nobody listens on a port."""
    return {
        "CLICKTRAIL_SMARTHOST_USERNAME": "shop",
        "CLICKTRAIL_SMARTHOST_PASSWORD": PASSWORD,
        "CLICKTRAIL_API_TOKEN": TOKEN,
        "CLICKTRAIL_WEBHOOK_SECRET": f"whsec_{WEBHOOK_SECRET}",
        "CLICKTRAIL_WEBHOOK_ALLOW": "127.0.0.0/8",
        "CLICKTRAIL_KAFKA_SERVERS": f"127.0.0.1:{nowhere}",
        "CLICKTRAIL_KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
        "CLICKTRAIL_KAFKA_USERNAME": "shop",
        "CLICKTRAIL_KAFKA_PASSWORD": STREAM_PASSWORD,
        "CLICKTRAIL_NATS_SERVERS": f"127.0.0.1:{nowhere}",
        "CLICKTRAIL_NATS_USERNAME": "shop",
        "CLICKTRAIL_NATS_PASSWORD": STREAM_PASSWORD,
        "CLICKTRAIL_PUBLISH_RETRY_FIRST": "0.05",
        "CLICKTRAIL_SMARTHOST_TIMEOUT": "1",
        "NOWHERE": str(nowhere),
    }


@pytest.fixture(params=["json", pytest.param("text", marks=pytest.mark.long)])
def parrot_and_service(
    request: pytest.FixtureRequest, tmp_path: Path, port: int
) -> Iterator[tuple[Parrot, Service]]:
    """The service, with each style of log; all roles in one process, and a process each."""
    style = request.param
    with (
        Parrot() as parrot,
        Service(
            tmp_path,
            *("--log-format", style, "--log-level", "debug", "--identities-required", "no"),
            smarthost=f"smtp://127.0.0.1:{parrot.port}",
            embedded=style == "json",
            environment=environment(port),
        ) as service,
    ):
        yield parrot, service


def submit(
    service: Service, raw: bytes, sender: str = SENDER, recipients: tuple[str, ...] = (READER,)
) -> int:
    """Send an email; return the last SMTP reply code, 0 where the connection was cut."""
    with smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client:
        client.ehlo()
        for command in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{each}>" for each in recipients)):
            client.docmd(command)
        code, _ = client.docmd("DATA")
        if code != 354:
            return code
        client.send(raw.replace(b"\n", b"\r\n") + b"\r\n.\r\n")
        return client.getreply()[0]


def sign_in(service: Service, name: str, password: str) -> int:
    with smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client:
        client.ehlo()
        try:
            return client.login(name, password)[0]
        except smtplib.SMTPResponseException as refused:
            return refused.smtp_code


@contextmanager
def broken(service: Service, *tables: str) -> Iterator[None]:
    """Take tables away from the store, so that what needs them fails with its values at hand."""
    path = service.data / "clicktrail.db"
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("PRAGMA legacy_alter_table = ON")
        for table in tables:
            connection.execute(f"ALTER TABLE {table} RENAME TO gone_{table}")
        try:
            yield
        finally:
            for table in tables:
                connection.execute(f"ALTER TABLE gone_{table} RENAME TO {table}")


@contextmanager
def refusing(service: Service, table: str) -> Iterator[None]:
    """Let the store refuse rows of a table (``IntegrityError``)."""
    path = service.data / "clicktrail.db"
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute(
            f"CREATE TRIGGER refusing BEFORE INSERT ON {table} BEGIN"
            " SELECT RAISE(ABORT, 'no more'); END"
        )
        try:
            yield
        finally:
            connection.execute("DROP TRIGGER refusing")


ODD_EMAILS = [
    b'From: "marked-odd" <marked-odd@[1.2.3>\nSubject: Mark3dSubject\n\nMark3dText',
    b"From: =?utf-8?q?marked-odd=FF?= <marked-odd@\xff\xfe>\n\nMark3dText",
    b"From: marked-odd@example.com, <<<>>>, (((\n\nMark3dText",
    b"From : marked-odd@example.com\n\nMark3dText",
    b"marked-odd no header at all\nMark3dText",
    b"From: a@example.com\nSubject: =?nosuch?b?Mark3dSubject?=\n\nMark3dText",
    b"From: a@example.com\nContent-Type: text/html; charset=nosuch\n\n<a href=http://Mark3dText/>x",
    b"From: a@example.com\nContent-Type: text/html\nContent-Transfer-Encoding: x-Mark3dText\n\n<a>",
    b"From: a@example.com\nContent-Type: multipart/mixed; boundary=b\n\n--b\nMark3dText\n--b",
    b'From: a@example.com\nContent-Type: text/html; charset="=?x?q?Mark3dText?="\n\nx\xff\xfe',
    b"From: a@example.com\nX-SES-CONFIGURATION-SET: Mark3dSubject\n\nMark3dText",
    b"From: a@example.com\nX-SES-MESSAGE-TAGS: Mark3dSubject,=Mark3dText\n\nMark3dText",
    b"From: a@example.com\nDate: \xff\nMessage-ID: <marked-odd@\n\n\xff\xff Mark3dText",
]


def drive(parrot: Parrot, service: Service) -> None:
    """Make everything fail that can be made to, with marks in what is given."""
    key = access_key(service, "send", "manage")
    SES_SECRET.append(key[1])
    name = service.configuration_set()
    raw = marked(name)
    # The smarthost does not let us in, hangs, is gone, refuses.
    submit(service, raw)
    parrot.silent = True
    submit(service, raw)
    parrot.silent = False
    parrot.trusting = True
    submit(service, raw)
    submit(service, raw, recipients=("no-" + READER,))
    for odd in ODD_EMAILS:
        submit(service, odd)
    # Wrong sign-ins.
    assert service.run("smtp-user", "create", "marked-user@example.com").returncode == 0
    for user in ("marked-user@example.com", "nobody", key[0]):
        assert sign_in(service, user, WRONG_PASSWORD) == 535
    for tables in (("smtp_users",), ("access_keys",), ("messages",), ("message_contents",)):
        with broken(service, *tables):
            sign_in(service, "marked-user@example.com", WRONG_PASSWORD)
            sign_in(service, *key)
            submit(service, raw)
            call(service, key, raw)
    with refusing(service, "messages"), suppress(smtplib.SMTPException):
        submit(service, raw)
        call(service, key, raw)
    call(service, (key[0], WRONG_PASSWORD), raw)
    call(service, key, b"\xff\xfe Mark3dText")
    for header in (f"Bearer {WRONG_PASSWORD}", "AWS4-HMAC-SHA256 Credential=Mark3dWr0ngPassw0rd"):
        request = urllib.request.Request(f"http://127.0.0.1:{service.api}/v2/email/account")
        request.add_header("Authorization", header)
        with pytest.raises(OSError, match="40"):
            urllib.request.urlopen(request, timeout=PATIENCE)
    with Visitor(service) as stranger:
        assert stranger.sign_in("admin", WRONG_PASSWORD).status_code in (400, 401, 403)
        with broken(service, "console_accounts"):
            stranger.sign_in("admin", WRONG_PASSWORD)


SES_SECRET: list[str] = []


def call(service: Service, key: tuple[str, str], raw: bytes) -> None:
    """Send an email by the API; it fails."""
    with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)):
        ses_client(service, key).send_email(
            FromEmailAddress=SENDER,
            Destination={"ToAddresses": [READER]},
            Content={"Raw": {"Data": raw}},
        )


def break_destinations(parrot: Parrot, service: Service) -> str:
    """Tell a click to destinations that cannot be reached; return the configuration set."""
    name = service.configuration_set()
    nowhere = int(service._environment["NOWHERE"])
    for label, arn in (
        ("hook", f"{WEBHOOK_PREFIX}http://127.0.0.1:{nowhere}/in?token={URL_TOKEN}"),
        ("deep", f"{WEBHOOK_PREFIX}http://nosuch.invalid/{URL_TOKEN}"),
        ("kafka", f"arn:clicktrail:kafka:::127.0.0.1:{nowhere}/clicks"),
        ("nats", f"arn:clicktrail:nats:::127.0.0.1:{nowhere}/clicks"),
    ):
        service.cli("event-destination", "add", name, label, "--arn", arn, "--type", "CLICK")
    parrot.trusting = parrot.taking = True
    assert submit(service, marked(name)) == 250
    link = hrefs(html_of(parrot.taken.pop()))[0]
    assert service.request(link, headers={"User-Agent": TEXT}).status == 302

    def all_failed() -> bool | None:
        lines = service.log.read_text().splitlines()
        told = "\n".join(line for line in lines if "notification not delivered" in line)
        return all(f"{name}/{label}" in told for label in LABELS) or None

    wait_for(all_failed, "a failed delivery to each", 120)
    return name


def marked(name: str) -> bytes:
    """Return an email with marks all over."""
    message = email_with('<a href="http://a.example/Mark3dText">x</a>', name)
    message.replace_header("From", SENDER)
    message.replace_header("To", READER)
    message.replace_header("Subject", SUBJECT)
    return message.as_bytes()


def viewers_pages(service: Service, *names: str) -> str:
    """Return what a viewer of the console sees of the service's own things."""
    with Visitor(service) as viewer:
        assert viewer.welcome(account(service, "a viewer")).status_code == 303
        pages = ["/", "/configurations", "/dead-letters", "/guide", "/live"]
        pages += [f"/configurations/{name}" for name in names]
        pages += [
            f"/configurations/{name}/destinations/{label}" for name in names for label in LABELS
        ]
        return "\n".join(viewer.get(page).text for page in pages)


def operators_port(service: Service) -> str:
    """Return what the operator's port tells."""
    texts = []
    for path in ("metrics", "readyz", "healthz"):
        url = f"http://127.0.0.1:{service.monitor}/{path}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                texts.append(answer.read().decode())
        except urllib.error.HTTPError as error:
            texts.append(error.read().decode())
    return "\n".join(texts)


def processes(service: Service) -> dict[int, str]:
    """Return the command line of each process of the service, as everybody may read it."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            parent = folder.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            if service.pid in (int(folder.name), int(parent)):
                found[int(folder.name)] = folder.joinpath("cmdline").read_text(errors="replace")
    assert service.pid in found
    return found


def journal(service: Service) -> str:
    """Return the lines as systemd's journal exports them: each with what ``/proc`` says of its
    process ("Journal Export Formats"; systemd.journal-fields(7), "Trusted journal fields")."""
    entries = []
    for pid, command in processes(service).items():
        title = command.replace("\0", " ").strip()
        entries.append(f"_PID={pid}\n_CMDLINE={title}\n")
    lines = (service.said + service.log.read_text()).splitlines()
    return "\n".join([*entries, *(f"MESSAGE={line}\nPRIORITY=6\n" for line in lines)])


@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "a process each"])
def test_a_password_on_the_command_line_does_not_stay_in_the_list_of_processes(
    tmp_path: Path, embedded: bool
) -> None:
    flags = ("--smarthost-username", "shop", "--smarthost-password", PASSWORD)
    more = (f"--api-token={TOKEN}", "--nats-token", STREAM_PASSWORD)
    with Service(tmp_path, *flags, *more, embedded=embedded, anew=True) as service:
        seen = processes(service)
        assert found_in("\n".join(seen.values()), SECRETS) == []
        assert len(seen) == (1 if embedded else 8)
        assert "--smarthost-password (hidden)" in seen[service.pid]
        assert found_in(journal(service), SECRETS) == []


_MAILDIR = ("--smarthost", "maildir:x")


def test_a_smarthost_url_with_a_password_is_shown_without_it(tmp_path: Path) -> None:
    url = f"smtp://shop:{PASSWORD}@127.0.0.1:1"
    for command in (
        ["serve", "--smarthost", url, "--embedded"],
        ["serve", "--smarthost", url],
        ["serve", "--smarthost", url.replace("smtp:", "http:")],
        ["serve", "--store-url", url, *_MAILDIR],
        ["serve", "--journal-url", url, *_MAILDIR],
        ["serve", "--store-url", f"postgresql://u:{STREAM_PASSWORD}@127.0.0.1:1/x", *_MAILDIR],
        ["serve", "--store-url", f"postgresql://u:%zz{STREAM_PASSWORD}@h:1/x", *_MAILDIR],
        ["serve", "--journal-url", f"nats://u:{JOURNAL_PASSWORD}@h:x", *_MAILDIR],
        ["settings", "--journal-url", f"nats://u:{JOURNAL_PASSWORD}@h:1"],
        ["settings", "--json", "--store-url", f"postgresql://u:{STREAM_PASSWORD}@h:1/x"],
    ):
        more = AT_ANY_PORT if command[0] == "serve" else ()
        done = forked.run([*forked.COMMAND, *command, *more, "--data", str(tmp_path / "data")])
        assert done.returncode == (1 if command[0] == "serve" else 0)
        said = (done.stdout + done.stderr).replace("\n", "")
        assert found_in(said, SECRETS) == []
        if command[0] == "serve":
            assert "cannot be used" in said


def test_whatever_fails_nothing_tells_a_secret_or_an_address(
    parrot_and_service: tuple[Parrot, Service],
) -> None:
    parrot, service = parrot_and_service
    SES_SECRET.clear()
    drive(parrot, service)
    name = break_destinations(parrot, service)
    pages = viewers_pages(service, name)
    log = service.log.read_text()
    # It did fail, in many ways: a log that says nothing would prove nothing.
    for said in ("sign-in could not be checked", "email could not be kept", "no such table"):
        assert said in log, said
    assert "smarthost is not available" in log
    assert "StoreUnavailable" in log
    assert ", in " in log or '"lineno"' in log
    told = "\n".join((service.said, log, operators_port(service), journal(service)))
    secrets = [*SECRETS, *SES_SECRET]
    assert found_in(told, [*secrets, *PEOPLE]) == []
    assert found_in(pages, secrets) == []
    assert found_in("\n".join(processes(service).values()), [*secrets, *PEOPLE]) == []


@pytest.mark.early
@pytest.mark.parametrize("embedded", [True, False], ids=["embedded", "a process each"])
def test_a_broker_that_cannot_be_reached_is_told_of_without_its_password(
    tmp_path: Path, port: int, embedded: bool
) -> None:
    url = f"nats://shop:{quote(JOURNAL_PASSWORD)}@127.0.0.1:{port}"
    with Service(
        tmp_path,
        *("--journal-url", url, "--log-level", "debug", "--identities-required", "no"),
        embedded=embedded,
    ) as service:
        name = service.configuration_set()
        assert submit(service, marked(name)) == 250
        link = hrefs(html_of(service.arrived()))[0]
        assert service.request(link, headers={"User-Agent": TEXT}).status == 302
        wait_for(lambda: service.logged("clicks go to the spool") or None, "failed journal", 120)
        seen = processes(service)
        assert "--journal-url (hidden)" in seen[service.pid]
        told = service.said + service.log.read_text() + operators_port(service)
        assert found_in(told + journal(service), [*SECRETS, *PEOPLE]) == []


@pytest.mark.long
def test_on_a_full_disk_and_with_a_store_that_is_held_nothing_is_told_either(
    tmp_path: Path, port: int
) -> None:
    data, spool = tmp_path / "data", tmp_path / "data" / "spool"
    with (
        small_disk(data, "16m"),
        small_disk(spool, "1m"),
        Service(tmp_path, "--identities-required", "no", environment=environment(port)) as service,
    ):
        name = service.configuration_set()
        key = access_key(service, "send")
        raw = marked(name)
        assert submit(service, raw) == 250
        link = hrefs(html_of(service.arrived()))[0]
        with filled(data), filled(spool):
            for _ in range(20):  # until no page of the log is left
                submit(service, raw)
            sign_in(service, "nobody", WRONG_PASSWORD)
            sign_in(service, *key)
            call(service, key, raw)
            assert service.request(link, headers={"User-Agent": TEXT}).status == 302
        with closing(sqlite3.connect(data / "clicktrail.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            assert submit(service, raw) == 451
            sign_in(service, "nobody", WRONG_PASSWORD)
        log = service.log.read_text()
        assert "database or disk is full" in log
        assert "email could not be kept" in log
        told = service.said + log + operators_port(service) + journal(service)
        assert found_in(told, [*SECRETS, *PEOPLE, key[1]]) == []
