"""The whole service before a smarthost that misbehaves: the sender is told the truth.

For each fault: the sender gets the right code, and an email is neither lost, nor sent twice by us,
nor falsely accepted.
"""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from clicktrail.keys.token import PATH
from clicktrail.relay import open_smarthost
from clicktrail.relay.smarthost import SmtpSmarthost
from clicktrail.service.checks import smarthost as checks
from clicktrail.settings.settings import Settings
from support.hostile_smarthost import TIMES, HostileSmarthost
from support.service import PATIENCE, Service, email_with, hrefs, html_of, wait_for

HTML = '<a href="http://a.example/x">x</a>'


class Post:
    """The service with a smarthost of the test's."""

    def __init__(self, service: Service, smarthost: HostileSmarthost, name: str) -> None:
        self.service, self.smarthost, self.name = service, smarthost, name

    async def send(self, *recipients: str) -> tuple[int, str]:
        """Send an email; return the answer to it, or the first refusal."""
        return await asyncio.to_thread(self._send, recipients or ("reader@gmail.com",))

    def _send(self, recipients: tuple[str, ...]) -> tuple[int, str]:
        raw = email_with(HTML, self.name).as_bytes().replace(b"\n", b"\r\n")
        with smtplib.SMTP("127.0.0.1", self.service.smtp, timeout=PATIENCE) as client:
            client.ehlo()
            code, text = client.mail("news@example.com")
            for recipient in recipients:
                if code < 400:
                    code, text = client.rcpt(recipient)
            if code < 400:
                code, text = client.data(raw)
            return code, text.decode()

    async def sent(self) -> int:
        """Return how many emails the statistics say were sent."""
        found = await asyncio.to_thread(self.service.statistics, "--configuration-set", self.name)
        return found["sent"]


def readiness(service: Service, status: int) -> str:
    """Wait until ``/readyz`` answers so; return what it says."""

    def answered() -> str | None:
        with closing(HTTPConnection("127.0.0.1", service.monitor, timeout=PATIENCE)) as connection:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return answer.read().decode() if answer.status == status else None

    return wait_for(answered, f"/readyz that says {status}")


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    async with HostileSmarthost() as smarthost:
        times = [word for name in TIMES for word in (f"--smarthost-{name.replace('_', '-')}", "3")]
        service = Service(tmp_path, *times, smarthost=f"smtp://{smarthost.address}")
        await asyncio.to_thread(service.start)
        try:
            name = await asyncio.to_thread(service.configuration_set)
            yield Post(service, smarthost, name)
        finally:
            await asyncio.to_thread(service.stop)


async def test_an_email_leaves_with_tracking_links_and_is_counted(post: Post) -> None:
    assert (await post.send())[0] == 250
    [taken] = post.smarthost.taken
    assert PATH in hrefs(html_of(taken.message))[0]
    assert await post.sent() == 1


@pytest.mark.parametrize("answer", ["550 5.1.1 no such user", "450 4.2.2 mailbox is full"])
async def test_a_refused_recipient_is_told_with_the_smarthosts_code_and_text(
    post: Post, answer: str
) -> None:
    post.smarthost.refused["nobody@example.org"] = answer
    code, text = await post.send("nobody@example.org")
    assert f"{code} {text}" == answer
    assert (post.smarthost.taken, await post.sent()) == ([], 0)


@pytest.mark.parametrize("stage", ["MAIL", "DATA", "DOT"])
async def test_a_refused_email_is_told_with_the_smarthosts_code_and_text(
    post: Post, stage: str
) -> None:
    post.smarthost.answers[stage] = "554 5.7.1 looks like spam"
    assert await post.send() == (554, "5.7.1 looks like spam")
    assert (post.smarthost.taken, await post.sent()) == ([], 0)
    post.smarthost.answers.clear()
    assert (await post.send())[0] == 250
    assert (len(post.smarthost.taken), await post.sent()) == (1, 1)


@pytest.mark.parametrize(
    ("fault", "stage"),
    [
        *(("drops", stage) for stage in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT")),
        *(("stalls", stage) for stage in ("CONNECT", "DATA", "BODY", "DOT")),
    ],
)
async def test_a_smarthost_that_goes_away_or_is_slow_leaves_the_email_with_the_sender(
    post: Post, fault: str, stage: str
) -> None:
    getattr(post.smarthost, fault).add(stage)
    code, text = await post.send()
    assert code == 451, text
    post.smarthost.let_go.set()
    assert await post.sent() == 0
    # When all of it was on its way nobody knows; but we do not send it a second time.
    assert len(post.smarthost.taken) <= (stage == "DOT" or (fault, stage) == ("stalls", "BODY"))
    getattr(post.smarthost, fault).clear()
    before = len(post.smarthost.taken)
    assert (await post.send())[0] == 250
    assert (len(post.smarthost.taken), await post.sent()) == (before + 1, 1)


async def test_a_smarthost_that_is_down_leaves_the_email_with_the_sender(
    tmp_path: Path, port: int
) -> None:
    service = Service(tmp_path, smarthost=f"smtp://127.0.0.1:{port}")
    await asyncio.to_thread(service.start)
    try:
        name = await asyncio.to_thread(service.configuration_set)
        post = Post(service, HostileSmarthost(), name)
        assert (await post.send())[0] == 451
        assert await post.sent() == 0
    finally:
        await asyncio.to_thread(service.stop)


async def test_a_smarthost_that_refuses_us_is_our_trouble_and_nobody_elses(post: Post) -> None:
    post.smarthost.answers["MAIL"] = "530 5.7.1 sign in first"
    code, text = await post.send()
    assert code == 451, text
    why = await asyncio.to_thread(readiness, post.service, 503)
    assert "530 5.7.1 sign in first" in why
    post.smarthost.answers.clear()
    assert (await post.send())[0] == 250
    await asyncio.to_thread(readiness, post.service, 200)


async def test_an_email_whose_answer_never_came_is_kept_as_that(post: Post) -> None:
    post.smarthost.drops.add("DOT")
    code, text = await post.send()
    assert (code, "may have sent it" in text) == (451, True)
    assert await post.sent() == 0
    assert len(post.service.logged("email may have been sent on")) == 1


@pytest.mark.parametrize("addresses", ["no", "yes"])
async def test_every_email_leaves_one_line_in_the_log(tmp_path: Path, addresses: str) -> None:
    async with HostileSmarthost() as smarthost:
        flags = ("--log-addresses", addresses, "--smtp-max-size", "100000")
        service = Service(tmp_path, *flags, smarthost=f"smtp://{smarthost.address}")
        await asyncio.to_thread(service.start)
        try:
            post = Post(service, smarthost, await asyncio.to_thread(service.configuration_set))
            assert (await post.send())[0] == 250
            smarthost.refused["nobody@example.org"] = "550 5.1.1 no such user"
            assert (await post.send("nobody@example.org"))[0] == 550
            smarthost.answers["DOT"] = "554 5.7.1 looks like spam"
            assert (await post.send())[0] == 554
            smarthost.answers.clear()
            post.name = "nosuch"
            assert (await post.send())[0] == 554
            smarthost.drops.add("MAIL")
            assert (await post.send())[0] == 451
        finally:
            await asyncio.to_thread(service.stop)
    [sent] = service.logged("email sent on")
    assert (sent["client"], sent["by"], bool(sent["id"])) == ("127.0.0.1", "ESMTP", True)
    [refused] = service.logged("recipient refused")
    assert (refused["code"], refused["reason"]) == (550, "5.1.1 no such user")
    spam, unknown = service.logged("email refused")
    assert (spam["code"], spam["reason"], bool(spam["id"])) == (554, "5.7.1 looks like spam", True)
    assert (unknown["code"], "there is no configuration set" in unknown["reason"]) == (554, True)
    assert service.logged("recipient put off")[0]["code"] == 451
    lines = service.log.read_text()
    for address in ("news@example.com", "reader@gmail.com", "nobody@example.org"):
        assert (address in lines) == (addresses == "yes")


async def test_a_smarthost_that_lets_wait_for_its_greeting_is_a_warning_and_no_problem(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checks, "GREETING_SECONDS", 0.1)
    async with HostileSmarthost(stalls={"CONNECT"}) as hostile:
        settings = Settings({"smarthost.url": (f"smtp://{hostile.address}", "test")})
        smarthost = open_smarthost(settings)
        assert isinstance(smarthost, SmtpSmarthost)
        async with asyncio.timeout(PATIENCE):
            await checks.SmarthostCheck(settings, smarthost).look()
        await smarthost.close()
    assert "it has not greeted within 0.1 seconds" in caplog.text


UNKNOWN = "this server has no name that others can look up"


@pytest.mark.parametrize(
    ("smarthost", "name", "is_told"),
    [
        ("smtp://mail.example.invalid:25", "localhost", True),
        ("smtp://mail.example.invalid:25", "mail", True),
        ("smtp://mail.example.invalid:25", "box.localdomain", True),
        ("smtp://mail.example.invalid:25", "mail.example.com", False),
        ("smtp://127.0.0.1:1", "localhost", False),
    ],
)
def test_a_name_that_a_smarthost_would_not_take_is_told_at_the_start(
    tmp_path: Path, smarthost: str, name: str, is_told: bool
) -> None:
    flags = ("--smtp-hostname", name)
    with Service(tmp_path, *flags, smarthost=smarthost) as service:
        assert service.log.read_text().count(UNKNOWN) == is_told
