"""Who is on the suppression list gets no email, whichever door it comes by."""

import asyncio
import smtplib
from datetime import UTC, datetime, timedelta
from email.policy import SMTP
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from clicktrail.settings.kinds import Address
from service.test_privacy import traces
from support.command_line import invoke
from support.milter_client import Envelope, MilterClient
from support.service import PATIENCE, Service, email_with
from support.ses import access_key, ses_client

_numbers = count()


@pytest.fixture
def address() -> str:
    """An address that no other test writes to."""
    return f"suppressed-{next(_numbers)}@example.org"


def smtp(service: Service, recipients: list[str], name: str | None = None) -> dict[str, Any]:
    """Send an email; return the refusals by recipient, as `smtplib` has them."""
    with smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client:
        return client.sendmail("news@example.com", recipients, email_with("x", name).as_bytes())


def send(ses: Any, to: str, **more: Any) -> None:
    body = {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}
    ses.send_email(
        FromEmailAddress="news@example.com",
        Destination={"ToAddresses": [to]},
        Content={"Simple": body},
        **more,
    )


def refusals(service: Service) -> list[Any]:
    """Return the log lines of emails and recipients that were refused because of the list."""
    events = "email refused", "recipient refused"
    lines = [line for event in events for line in service.logged(event)]
    return [line for line in lines if "suppression list" in line["reason"]]


def test_each_door_refuses_and_says_why(service: Service, ses: Any, address: str) -> None:
    name, before = service.configuration_set(stream=False), len(refusals(service))
    ses.put_suppressed_destination(EmailAddress=address.upper(), Reason="BOUNCE")
    why = rf"'{address}' is on the suppression list \(BOUNCE\)"
    with pytest.raises(ses.exceptions.MessageRejected, match=why):
        send(ses, address)
    smtp(service, ["first@example.org"])  # from now on the door knows that there is a list
    service.arrived()
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        smtp(service, [address], name)
    (code, said), *_ = caught.value.recipients.values()
    assert code == 550
    assert said.startswith(b"5.7.1 ")
    assert b"clicktrail suppression remove" in said

    async def by_milter() -> bytes:
        client = await MilterClient.connect(
            Address("127.0.0.1", service.milter), client="127.0.0.1"
        )
        await client.hear()
        raw = email_with("x").as_bytes(policy=SMTP)
        reply = await client.submit(raw, Envelope(recipients=[address]))
        await client.close()
        return reply.last

    answer = asyncio.run(by_milter())
    assert answer.startswith(b"y550 5.7.1 ")
    assert len(refusals(service)) == before + 3
    assert address not in str(refusals(service))


def test_others_of_the_same_email_get_it(service: Service, ses: Any, address: str) -> None:
    ses.put_suppressed_destination(EmailAddress=address, Reason="BOUNCE")
    smtp(service, ["first@example.org"])
    service.arrived()
    refused = smtp(service, ["one@example.org", address, "two@example.org"])
    assert list(refused) == [address]
    service.arrived()


def test_a_configuration_set_has_reasons_of_its_own(
    service: Service, ses: Any, address: str
) -> None:
    names = [service.configuration_set(stream=False) for _ in range(3)]
    none, bounces, back = names
    ses.put_configuration_set_suppression_options(ConfigurationSetName=none, SuppressedReasons=[])
    for name in (bounces, back):
        ses.put_configuration_set_suppression_options(
            ConfigurationSetName=name, SuppressedReasons=["BOUNCE"]
        )
    ses.put_configuration_set_suppression_options(ConfigurationSetName=back)
    ses.put_suppressed_destination(EmailAddress=address, Reason="COMPLAINT")
    for name, gets in ((none, True), (bounces, True), (back, False)):
        if gets:
            smtp(service, [address], name)
            service.arrived()
            continue
        with pytest.raises(smtplib.SMTPDataError, match="suppression list") as caught:
            smtp(service, [address], name)
        assert caught.value.smtp_code == 550
    service.cli("suppression", "add", address)  # a wish, which SES has no reason for
    smtp(service, [address], none)
    service.arrived()
    with pytest.raises(ses.exceptions.MessageRejected, match="UNSUBSCRIBE"):
        send(ses, address, ConfigurationSetName=bounces)
    found = ses.get_configuration_set(ConfigurationSetName=bounces)
    assert found["SuppressionOptions"] == {"SuppressedReasons": ["BOUNCE"]}
    for name in names:
        service.cli("configuration-set", "delete", name, "--yes")


def test_the_account_says_what_holds_where_no_set_does(
    service: Service, ses: Any, address: str
) -> None:
    ses.put_suppressed_destination(EmailAddress=address, Reason="BOUNCE")
    assert set(ses.get_account()["SuppressionAttributes"]["SuppressedReasons"]) == {
        "BOUNCE",
        "COMPLAINT",
    }
    ses.put_account_suppression_attributes(SuppressedReasons=["COMPLAINT"])
    try:
        assert ses.get_account()["SuppressionAttributes"] == {"SuppressedReasons": ["COMPLAINT"]}
        send(ses, address)
        service.arrived()
        smtp(service, [address])
        service.arrived()
    finally:
        ses.put_account_suppression_attributes(SuppressedReasons=["BOUNCE", "COMPLAINT"])
    with pytest.raises(ses.exceptions.MessageRejected):
        send(ses, address)


def test_the_list_is_read_page_by_page(service: Service, ses: Any, address: str) -> None:
    made = [f"{number}.{address}" for number in range(3)]
    for each in made:
        ses.put_suppressed_destination(EmailAddress=each, Reason="BOUNCE")
    now = datetime.now(UTC)
    found: list[Any] = []
    asked: dict[str, Any] = {"PageSize": 2, "Reasons": ["BOUNCE"]}
    asked |= {"StartDate": now - timedelta(hours=1), "EndDate": now + timedelta(hours=1)}
    while True:
        answer = ses.list_suppressed_destinations(**asked)
        found += answer["SuppressedDestinationSummaries"]
        if "NextToken" not in answer:
            break
        asked["NextToken"] = answer["NextToken"]
    assert [e["EmailAddress"] for e in found if e["EmailAddress"] in made] == made
    assert all(abs(e["LastUpdateTime"] - now) < timedelta(hours=1) for e in found)
    asked.pop("NextToken", None)
    long_ago = ses.list_suppressed_destinations(EndDate=now - timedelta(days=1))
    assert long_ago["SuppressedDestinationSummaries"] == []
    ses.delete_suppressed_destination(EmailAddress=made[0])
    for call in (ses.get_suppressed_destination, ses.delete_suppressed_destination):
        with pytest.raises(ses.exceptions.NotFoundException):
            call(EmailAddress=made[0])
    one = ses.get_suppressed_destination(EmailAddress=made[1])["SuppressedDestination"]
    assert (one["EmailAddress"], one["Reason"]) == (made[1], "BOUNCE")


@pytest.mark.parametrize(
    "given", [{"EmailAddress": "nobody"}, {"EmailAddress": "a@b.example", "Reason": "MOOD"}]
)
def test_what_cannot_be_put_there_is_refused(ses: Any, given: dict[str, str]) -> None:
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.put_suppressed_destination(**{"Reason": "BOUNCE"} | given)


def test_who_may_only_send_does_not_see_the_list(service: Service) -> None:
    client = ses_client(service, access_key(service, "send"))
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.list_suppressed_destinations()


def test_a_list_goes_out_as_it_came_in(service: Service, tmp_path: Path, address: str) -> None:
    a, b, c = (f"{name}.{address}" for name in "abc")
    file = tmp_path / "list.csv"
    file.write_text(
        f"EmailAddress,Reason\n{a},BOUNCE,2024-01-01\n\n{b.upper()}\nnobody\n{c},MOOD\n", "utf-8"
    )
    done = invoke(
        ["suppression", "import", str(file), "--reason", "complaint", "--data", str(service.data)]
    )
    assert done.exit_code == 1
    assert "Put 2 addresses" in done.stdout
    assert "line 5: 'nobody' is not an address" in done.stderr
    assert "line 6: 'MOOD' is no reason" in done.stderr
    lines = [line.split(",") for line in service.cli("suppression", "export").splitlines()]
    assert [line[:2] for line in lines if line[0] in (a, b, c)] == [[a, "BOUNCE"], [b, "COMPLAINT"]]
    for each in (a, b):
        service.cli("suppression", "remove", each)
    assert a not in service.cli("suppression", "list", "--json")


def test_who_was_erased_still_gets_no_email(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        service.cli("suppression", "add", "Reader@gmail.com")
        said = service.cli("recipients", "forget", "reader@gmail.com", "--yes")
        assert "1  on the suppression list: stays there, unreadable" in said
        assert traces(service) == []
        assert service.cli("suppression", "export") == ""
        with pytest.raises(smtplib.SMTPException, match=r"suppression list \(UNSUBSCRIBE\)"):
            smtp(service, ["reader@gmail.com"])
