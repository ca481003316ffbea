"""What is large or nested deep is done beside the others or refused; nobody waits for it."""

import contextlib
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.service import PATIENCE, Service, email_with, html_of
from support.visitor import Visitor


def test_kept_html_with_very_many_links_holds_up_nobody(service: Service, ses: Any) -> None:
    name = service.configuration_set()
    service.cli("configuration-set", "update", name, "--keep-html")
    page = "".join(f'<a href="http://a.example/{n}">{n}</a>\n' for n in range(20_000))
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(service.send, email_with(page, name))
        answered = 0
        while not sending.done():
            ses.list_configuration_sets()
            answered += 1
            time.sleep(0.02)
        assert html_of(sending.result()).count("/c/") == 20_000
    assert answered >= 3


NESTED = [
    b'{"ConfigurationSetName":"deep","DeliveryOptions":' + b'{"a":' * 3000,
    b'{"ConfigurationSetName":"deep","DeliveryOptions":{"TlsPolicy":' + b"[" * 800 + b"]" * 800
    + b"}}",
    b'{"ConfigurationSetName":"deep","Unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"ConfigurationSetName":"deep","VdmOptions":{"GuardianOptions":' + b'{"a":' * 900 + b"1"
    + b"}" * 902,
    b"[" * 1_000_000,
]  # fmt: skip


@pytest.mark.parametrize("body", NESTED)
def test_json_that_is_nested_deep_is_refused_for_good(
    service: Service, key: tuple[str, str], body: bytes
) -> None:
    url = f"http://127.0.0.1:{service.api}/v2/email/configuration-sets"
    signed = AWSRequest("POST", url, data=body)
    SigV4Auth(Credentials(*key), "ses", "eu-west-1").add_auth(signed)
    code, answer = posted(url, body, dict(signed.headers.items()))
    assert code == 400, answer
    assert set(answer) == {"message"}
    assert service.logged("API request failed") == []


def posted(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    import httpx

    answer = httpx.post(url, content=body, headers=headers, timeout=PATIENCE)
    return answer.status_code, json.loads(answer.content)


def test_a_search_for_very_many_words_is_refused(admin: Visitor) -> None:
    answer = admin.client.get("/messages", params={"q": " ".join(f"word{n}" for n in range(1500))})
    assert answer.status_code == 400
    assert "at most 20 words" in answer.text


def test_cookies_of_escapes_are_passed_over(admin: Visitor) -> None:
    mine = "; ".join(f"{name}={value}" for name, value in admin.client.cookies.items())
    cookies = 'other="' + "\\" * 7000 + f'"; {mine}'
    answer = admin.client.get("/configurations", headers={"Cookie": cookies})
    assert answer.status_code == 200
    assert "Sign out" in answer.text


def test_clicks_are_counted_by_the_first_tags_of_a_link(service: Service) -> None:
    name = service.configuration_set()
    tags = "".join(f"tag{n:03}:v;" for n in range(80))
    page = f'<a href="http://a.example/" postbox:tags="{tags}">x</a>'
    link = html_of(service.send(email_with(page, name))).split('"')[1]
    service.request(link)
    (event,) = service.wait_for_events(name, 1)
    assert len(event["click"]["linkTags"]) == 80
    service.wait_for_clicks(name, 1)
    counted = "select count(*) from tag_counters where configuration_set = ? and clicks > 0"
    with contextlib.closing(sqlite3.connect(service.data / "clicktrail.db")) as store:
        assert store.execute(counted, [name]).fetchone() == (50,)
