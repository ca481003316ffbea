"""The milter in real Postfix, with the lines of docs/postfix.md."""

import email
import re
import shutil
import smtplib
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import dkim
import pytest

from clicktrail.keys import dkim as dkimkey
from clicktrail.keys.ringfile import KeyFile
from postfix.house import LINK, House, parts_of, text_of
from postfix.kinds_of_email import KINDS, Kind, encoded
from postfix.kinds_of_email import html as html_email
from support.opendkim import NEEDS_OPENDKIM, opendkim
from support.postfix import NEEDS_POSTFIX, Sink, example_of, postfix
from support.service import Service, wait_for

pytestmark = [NEEDS_POSTFIX, pytest.mark.long]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("milter")
    with Sink() as sink, Service(folder) as service:
        tracking = service.configuration_set()
        service.cli("configuration-set", "create", "plain")
        service.cli("identity", "create", "example.com")
        lines = example_of("As a milter", port=str(service.milter))
        with postfix(sink.port, lines) as running:
            yield House(service, running, sink, tracking)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_it_arrives_whole_and_once_and_with_other_links_alone(house: House, kind: Kind) -> None:
    house.check(kind, house.postfix.port)


def test_a_report_of_delivery_is_postfixs(house: House) -> None:
    kind = next(each for each in KINDS if each.name == "DSN asked for")
    kind = replace(kind, options=("RET=HDRS", "ENVID=QQ271828"))
    house.passed(kind, "report", house.postfix.port)
    wanted = b"Original-Envelope-Id: QQ271828"
    report = wait_for(
        lambda: next((each for each in house.sink.emails if wanted in each.content), None),
        "a report of delivery",
    )
    assert (report.sender, report.recipients) == ("", ("news@example.com",))
    assert b"Action: relayed" in report.content
    assert b"Original-Recipient: rfc822;" in report.content


def test_what_comes_by_sendmail_is_tracked_too(house: House) -> None:
    raw = b"X-Mark: sendmail\r\n" + html_email(cte="base64")
    raw = raw.replace(b"{set}", house.tracking.encode()).replace(b"\r\n", b"\n")
    house.postfix.sendmail(raw, "reader@gmail.com", sender="news@example.com")
    content = house.sink.arrived(b"X-Mark: sendmail\r\n").content
    (part,) = email.message_from_bytes(content).walk()
    assert LINK.search(text_of(part))
    assert b"X-SES" not in content


@pytest.mark.parametrize(
    ("change", "sender", "code", "text"),
    [
        ((b"{set}", b"nobody's"), "", 554, "5.6.0 there is no configuration set"),
        ((b"{set}", b"100%"), "", 554, "5.6.0 there is no configuration set '100%'"),
        ((b"@example.com>", b"@example.net>"), "", 553, "5.7.1 'news@example.net' belongs to"),
        ((b"x", b"x"), "news@example.net", 553, "5.7.1 'news@example.net' belongs to no identity"),
    ],
)
def test_what_is_refused_is_refused_to_the_sender(
    house: House, change: tuple[bytes, bytes], sender: str, code: int, text: str
) -> None:
    raw = html_email(cte="base64").replace(*change, 1)
    kind = Kind("refused", raw, sender=sender or "news@example.com")
    mark = f"refused {change[1][:20]!r} {sender} {code}"
    with pytest.raises(smtplib.SMTPDataError) as refused:
        house.hand_in(kind, mark, house.postfix.port)
    said = refused.value.smtp_error
    assert isinstance(said, bytes)
    assert (refused.value.smtp_code, said.decode()[: len(text)]) == (code, text)
    assert not any(mark.encode() in each.content for each in house.sink.emails)


def test_both_logs_have_the_id_of_the_queue(house: House) -> None:
    kind = replace(KINDS[1], sender="who@example.com")
    with house.postfix.client() as client:
        raw = b"X-Mark: who\r\n" + kind.raw.replace(b"{set}", house.tracking.encode())
        client.sendmail(kind.sender, ["reader@gmail.com"], raw)
    line = re.compile(r"(\w+): from=<who@example.com>")
    queue_id = wait_for(lambda: line.search(house.postfix.log), "a line of Postfix")[1]

    def logged() -> bool | None:
        lines = house.service.logged("email sent on")
        return any(each["queue_id"] == queue_id for each in lines) or None

    wait_for(logged, "a line of ours with the id in Postfix's queue")


def test_emails_of_strangers_pass_untouched(tmp_path: Path) -> None:
    with (
        Sink() as sink,
        Service(tmp_path, "--milter-senders", "192.0.2.0/24") as service,
        postfix(sink.port, example_of("As a milter", port=str(service.milter))) as running,
    ):
        here = House(service, running, sink, service.configuration_set())
        content = here.passed(KINDS[1], "stranger", running.port).content
        assert b"X-SES-CONFIGURATION-SET: set-" in content
        assert b"shop.example/offer" in content
        assert service.logged("email sent on") == []


@pytest.mark.parametrize("workers", [1, 2])
def test_on_a_socket_that_the_group_of_postfix_may_use(tmp_path: Path, workers: int) -> None:
    with Sink() as sink, postfix(sink.port, example_of("A socket instead of a port")) as running:
        folder = running.folder / "queue" / "clicktrail"
        folder.mkdir()
        shutil.chown(folder, group="postfix")
        folder.chmod(0o2750)
        flags = (f"--milter-listen=unix:{folder}/milter.sock", f"--milter-workers={workers}")
        with Service(tmp_path, *flags, embedded=workers == 1) as service:
            here = House(service, running, sink, service.configuration_set())
            for number in range(4):
                content = here.passed(KINDS[2], f"socket {number}.", running.port).content
                (part,) = email.message_from_bytes(content).walk()
                assert LINK.search(text_of(part))


def signing(service: Service, folder: Path) -> bytes:
    """Have emails of example.com signed; return the DNS record."""
    service.cli("identity", "create", "example.com")
    service.cli("configuration-set", "create", "plain")
    private = dkimkey.generate()
    key = folder / "key"
    key.write_bytes(encoded(private, "base64").replace(b"\r\n", b""))
    service.cli("identity", "dkim", "set", "example.com", "--selector", "sel", "--key", str(key))
    return dkimkey.dns_record(private).encode()


@pytest.mark.parametrize("seven_bit", ["auto", "always"])
def test_signed_in_7_bits_the_signature_outlives_a_server_that_takes_no_more(
    tmp_path: Path, seven_bit: str
) -> None:
    with Sink() as sink, Service(tmp_path, "--smarthost-seven-bit", seven_bit) as service:
        lines = example_of("As a milter", port=str(service.milter))
        # As if the next server did not offer it. (Who offers SMTPUTF8 does, Postfix says.)
        lines += "smtp_discard_ehlo_keywords = 8bitmime, smtputf8\n"
        with postfix(sink.port, lines) as running:
            here = House(service, running, sink, service.configuration_set())
            record = signing(service, tmp_path)
            broken = []
            for number, kind in enumerate(KINDS):
                odd = "SMTPUTF8" in kind.options or "no blank" in kind.name or kind.broken
                if kind.sender and not odd:
                    # Postfix converts what was announced so.
                    options = {*kind.options, "BODY=8BITMIME"}
                    kind = replace(kind, options=(*options,))  # noqa: PLW2901
                    content = here.passed(kind, f"seven {number}", running.port).content
                    body = content.partition(b"\r\n\r\n")[2]
                    assert body.isascii(), kind.name
                    if not dkim.verify(content, dnsfunc=lambda *_, **__: record):
                        broken.append(kind.name)
            assert bool(broken) == (seven_bit == "auto"), broken


def test_signed_by_clicktrail_the_signature_is_valid_at_the_end(tmp_path: Path) -> None:
    with (
        Sink() as sink,
        Service(tmp_path) as service,
        postfix(sink.port, example_of("As a milter", port=str(service.milter))) as running,
    ):
        here = House(service, running, sink, service.configuration_set())
        record = signing(service, tmp_path)
        for number, kind in enumerate(KINDS):
            if kind.sender and "SMTPUTF8" not in kind.options and "no blank" not in kind.name:
                content = here.passed(kind, f"signed {number}", running.port).content
                assert content.lower().count(b"dkim-signature:") == 1 + (not kind.tracked) * (
                    kind.raw.lower().count(b"dkim-signature:")
                ), kind.name
                assert dkim.verify(content, dnsfunc=lambda *_, **__: record), kind.name


@NEEDS_OPENDKIM
def test_signed_by_opendkim_behind_it_the_signature_is_valid_at_the_end(tmp_path: Path) -> None:
    private = dkimkey.generate()
    with (
        Sink() as sink,
        Service(tmp_path) as service,
        opendkim(tmp_path, "example.com", private) as other,
    ):
        heading = "With OpenDKIM and other milters"
        lines = example_of(heading, port=str(service.milter), other=str(other))
        with postfix(sink.port, lines) as running:
            here = House(service, running, sink, service.configuration_set())
            record = dkimkey.dns_record(private).encode()
            for number in (1, 2, 12, 13):
                content = here.passed(KINDS[number], f"other {number}", running.port).content
                assert b"s=other;" in content
                assert dkim.verify(content, dnsfunc=lambda *_, **__: record), content
                links = parts_of(content, KeyFile(service.data / "keys.json"))[1]
                assert links


def test_a_session_that_outlives_a_restart_is_put_off_until_it_begins_anew(tmp_path: Path) -> None:
    with Sink() as sink, Service(tmp_path) as service:
        lines = example_of("As a milter", port=str(service.milter))
        with postfix(sink.port, lines) as running:
            raw = KINDS[1].raw.replace(b"{set}", service.configuration_set().encode())
            with running.client() as client:
                client.sendmail("news@example.com", ["reader@gmail.com"], raw)
                service.stop()
                service.start()
                with pytest.raises(smtplib.SMTPResponseException) as put_off:
                    client.sendmail("news@example.com", ["reader@gmail.com"], raw)
                assert put_off.value.smtp_code == 451
            with running.client() as client:
                client.sendmail("news@example.com", ["reader@gmail.com"], raw)


def test_without_a_milter_emails_are_put_off(tmp_path: Path) -> None:
    with Sink() as sink, Service(tmp_path) as service:
        lines = example_of("As a milter", port=str(service.milter))
        with postfix(sink.port, lines) as running:
            service.stop()
            with running.client() as client, pytest.raises(smtplib.SMTPResponseException) as off:
                client.sendmail("news@example.com", ["reader@gmail.com"], KINDS[1].raw)
            assert (off.value.smtp_code, off.value.smtp_error[:5]) == (451, b"4.7.1")


def test_killed_while_emails_flow_none_is_lost_and_none_comes_twice(tmp_path: Path) -> None:
    number, threads = 200, 4
    with Sink() as sink, Service(tmp_path) as service:
        lines = example_of("As a milter", port=str(service.milter))
        with postfix(sink.port, lines) as running:
            here = House(service, running, sink, service.configuration_set())
            retried = [0] * threads

            def send(which: int) -> None:
                for each in range(which, number, threads):
                    while True:
                        # A sender keeps an email until it was taken, as RFC 5321 has it.
                        with suppress(smtplib.SMTPResponseException, AssertionError):
                            here.hand_in(KINDS[1], f"flow {each}.", running.port)
                            break
                        retried[which] += 1

            senders = [threading.Thread(target=send, args=(n,)) for n in range(threads)]
            for sender in senders:
                sender.start()
            for sent in (20, 60, 100, 140, 180):
                wait_for(lambda: len(sink.emails) >= sent or None, f"{sent} emails")  # noqa: B023
                service.kill()
                before = sum(retried)
                wait_for(lambda: sum(retried) > before or None, "an email refused for now")  # noqa: B023
                service.start()
            for sender in senders:
                sender.join()
            wait_for(lambda: len(sink.emails) >= number or None, f"{number} emails")
            keys = KeyFile(service.data / "keys.json")
            marks = sorted(
                int(found[1])
                for each in sink.emails
                if (found := re.search(rb"X-Mark: flow (\d+)\.", each.content))
            )
            assert marks == list(range(number))
            assert all(parts_of(each.content, keys)[1] for each in sink.emails)
