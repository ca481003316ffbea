from pathlib import Path

import pytest

from clicktrail.errors import SmarthostUnavailable
from clicktrail.model import Envelope, Recipient
from clicktrail.relay import open_smarthost
from clicktrail.settings.settings import Settings

MESSAGE = b"Subject: x\r\n\r\n.dot  \r\n\xff\nno end"


def files_below(path: Path) -> list[Path]:
    return [p for p in path.rglob("*") if p.is_file()]


async def test_an_email_becomes_one_file_with_only_trace_headers_before_it(tmp_path: Path) -> None:
    path = tmp_path / "out" / "mail"
    smarthost = open_smarthost(Settings({"smarthost.url": (f"maildir:{path}", "test")}))
    transaction = await smarthost.begin(Envelope("a@example.com", body_8bit=True))
    named = [Recipient("b@example.com"), Recipient("c@example.com")]
    assert [code for code, _ in await transaction.rcpt(named)] == [250, 250]
    assert (await transaction.data(MESSAGE))[0] == 250
    await smarthost.close()
    (file,) = (path / "new").iterdir()
    assert file.read_bytes() == (
        b"Return-Path: <a@example.com>\r\n"
        b"Delivered-To: b@example.com\r\n"
        b"Delivered-To: c@example.com\r\n" + MESSAGE
    )
    assert not list((path / "tmp").iterdir())


async def test_an_aborted_email_leaves_nothing(tmp_path: Path) -> None:
    smarthost = open_smarthost(Settings({"smarthost.url": (f"maildir:{tmp_path}", "test")}))
    transaction = await smarthost.begin(Envelope(""))
    await transaction.rcpt([Recipient("b@example.com")])
    await transaction.abort()
    assert files_below(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    url = f"maildir:{tmp_path}/file/mail"
    smarthost = open_smarthost(Settings({"smarthost.url": (url, "test")}))
    transaction = await smarthost.begin(Envelope(""))
    await transaction.rcpt([Recipient("b@example.com")])
    with pytest.raises(SmarthostUnavailable, match="maildir"):
        await transaction.data(MESSAGE)
