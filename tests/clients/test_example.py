"""The example program of the README, run as its text says."""

import sys

from support.clients import ROOT, environment_for, run
from support.service import Service, hrefs, html_of

TARGET = "https://example.com/books"


def test_the_example_sends_a_tracked_email_and_may_be_run_again(service: Service) -> None:
    environment = environment_for(service, ("send", "manage"))
    endpoint = environment.pop("AWS_ENDPOINT_URL_SESV2")
    program = ROOT / "examples" / "boto3_send.py"
    addresses = ("news@shop.example", "reader@gmail.com")
    command = (sys.executable, program, *addresses, "--endpoint", endpoint)
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
    environment = environment_for(service, ("send",))
    endpoint = environment.pop("AWS_ENDPOINT_URL_SESV2")
    program = ROOT / "examples" / "boto3_send.py"
    command = (sys.executable, program, "a@b.example", "c@d.example", "--endpoint", endpoint)
    told = run(command, environment, status=1)
    assert "Not sent" in told
    assert "manage" in told
    assert "Traceback" not in told
