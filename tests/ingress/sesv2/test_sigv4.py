"""Signatures: what botocore signs is known; what was changed since is not."""

import hashlib
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from clicktrail.ingress.sesv2.operations import ApiError, ApiRequest
from clicktrail.ingress.sesv2.sigv4 import CLOCK_SECONDS, SigV4Authenticator

KEY, SECRET = "AKCTEXAMPLE", "secret/+="
NOW = 1_795_500_000.0


class Keys:
    async def secret(self, key_id: str) -> tuple[str, frozenset[str]] | None:
        return (SECRET, frozenset({"send"})) if key_id == KEY else None


def signed(
    method: str = "GET",
    path: str = "/v2/email/account",
    query: str = "",
    body: bytes = b"",
    *,
    service: str = "ses",
    **headers: str,
) -> ApiRequest:
    url = f"http://127.0.0.1:8482{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers=dict(headers), data=body)
    SigV4Auth(Credentials(KEY, SECRET), service, "eu-west-1").add_auth(request)
    shown = {name.lower(): value for name, value in request.headers.items()}
    return ApiRequest(method, path, query, {"host": "127.0.0.1:8482"} | shown, body)


def changed(request: ApiRequest, **changes: Any) -> ApiRequest:
    fields = {name: getattr(request, name) for name in ApiRequest.__slots__}
    return ApiRequest(**(fields | changes))


async def code_of(request: ApiRequest, now: float | None = None) -> str:
    authenticator = (
        SigV4Authenticator(Keys()) if now is None else SigV4Authenticator(Keys(), lambda: now)
    )
    try:
        found = await authenticator.authenticate(request)
    except ApiError as error:
        return error.code if error.status == 403 else str(error.status)
    assert found.key_id == KEY
    assert found.scopes == {"send"}
    return "good"


paths = st.lists(st.text("abcXYZ019-._~%@:+=,;!'()$&* é", min_size=1, max_size=12), max_size=4)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    parts=paths,
    query=st.dictionaries(
        st.text("abcAB1-_.~", min_size=1, max_size=5), st.text("xyzXY09-_.~", max_size=5)
    ),
    body=st.binary(max_size=200),
)
async def test_what_a_client_signs_is_known(
    method: str, parts: list[str], query: dict[str, str], body: bytes
) -> None:
    from urllib.parse import quote

    path = "/v2/email/" + "/".join(quote(part, safe="") for part in parts)
    text = "&".join(f"{name}={value}" for name, value in query.items())
    assert await code_of(signed(method, path, text, body)) == "good"


@pytest.mark.parametrize("extra", [{"Content-Type": "application/json"}, {"X-Amz-Foo": " a   b "}])
async def test_more_headers_may_be_signed(extra: dict[str, str]) -> None:
    assert await code_of(signed("POST", body=b"{}", **extra)) == "good"


async def test_the_hash_of_the_body_may_be_declared() -> None:
    for declared in (hashlib.sha256(b"{}").hexdigest(), "UNSIGNED-PAYLOAD"):
        headers = {"X-Amz-Content-SHA256": declared}
        assert await code_of(signed("POST", body=b"{}", **headers)) == "good"


async def test_a_request_that_was_changed_is_refused() -> None:
    good = signed("POST", "/v2/email/tags", "a=1", b'{"a": 1}')
    for change in (
        {"method": "PUT"},
        {"path": "/v2/email/tag"},
        {"query": "a=2"},
        {"query": ""},
        {"body": b'{"a": 2}'},
        {"body": b""},
        {"headers": {**good.headers, "host": "other.example"}},
    ):
        assert await code_of(changed(good, **change)) == "SignatureDoesNotMatch"
    assert await code_of(good) == "good"


async def test_another_body_than_the_declared_one_is_refused() -> None:
    headers = {"X-Amz-Content-SHA256": hashlib.sha256(b"{}").hexdigest()}
    request = signed("POST", body=b"{}", **headers)
    assert await code_of(changed(request, body=b"{ }")) == "InvalidSignatureException"


async def test_a_request_of_another_time_is_refused() -> None:
    from calendar import timegm
    from time import strptime

    request = signed()
    at = float(timegm(strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")))
    for off in (0, CLOCK_SECONDS, -CLOCK_SECONDS):
        assert await code_of(request, at + off) == "good"
    for off in (CLOCK_SECONDS + 1, -CLOCK_SECONDS - 1, 86_400):
        assert await code_of(request, at + off) == "RequestExpired"


async def test_a_signature_for_another_service_is_refused() -> None:
    assert await code_of(signed(service="s3")) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("missing", ["host", "x-amz-date"])
async def test_host_and_date_must_be_signed(missing: str) -> None:
    request = signed()
    names = request.headers["authorization"]
    less = names.replace(f"{missing};", "").replace(f";{missing}", "")
    assert less != names
    headers = {**request.headers, "authorization": less}
    assert await code_of(changed(request, headers=headers)) == "IncompleteSignature"


@given(st.text(max_size=300))
async def test_any_authorization_is_answered(text: str) -> None:
    request = signed()
    headers = {**request.headers, "authorization": text}
    assert await code_of(changed(request, headers=headers)) == "IncompleteSignature"


@given(st.text("0123456789TZ:-", max_size=20))
async def test_any_date_is_answered(text: str) -> None:
    request = signed()
    headers = {**request.headers, "x-amz-date": text}
    assert await code_of(changed(request, headers=headers)) != "good"


async def test_who_signs_very_many_headers_is_refused() -> None:
    request = signed(**{f"x-{n}": "a" for n in range(150)})  # type: ignore[arg-type]
    with pytest.raises(ApiError, match="sign at most 100 headers"):
        await SigV4Authenticator(Keys(), lambda: NOW).authenticate(request)
