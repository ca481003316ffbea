"""Any request at all to the SES v2 API over HTTP is answered: no 500, and strangers learn nothing.

Bodies follow the shapes of botocore's model of SES v2, with values of all kinds in their places.
"""

import http.client
import json
from typing import Any
from urllib.parse import quote

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.service import PATIENCE, Service
from support.ses import access_key, knows_more

MODEL = botocore.session.get_session().get_service_model("sesv2")
NAMES = sorted(MODEL.operation_names)
EXAMPLES = 300
LONG_EXAMPLES = 5000

WORDS = st.sampled_from(
    ["", "news", "a@example.com", "example.com", "CLICK", "ENABLED", "REQUIRE", "EXTERNAL",
     "arn:clicktrail:stream:::s", "arn:aws:ses:r:1:identity/example.com", "AAAA", "VDM", "SEND",
     "%00", "../x", "\r\nX: y", "\ud800", "\u0000", "{{x}}", "x" * 2000]
)  # fmt: skip
TEXTS = WORDS | st.text(max_size=30)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def values_of(shape: Shape, depth: int = 0) -> st.SearchStrategy[Any]:
    """Return values of a shape; now and then of any other."""
    if depth > 6:
        return ANYTHING
    match shape:
        case StructureShape():
            members = {name: values_of(member, depth + 1) for name, member in shape.members.items()}
            wanted = {name: members.pop(name) for name in shape.required_members}
            right: st.SearchStrategy[Any] = st.fixed_dictionaries(wanted, optional=members)
        case ListShape():
            right = st.lists(values_of(shape.member, depth + 1), max_size=3)
        case MapShape():
            right = st.dictionaries(TEXTS, values_of(shape.value, depth + 1), max_size=3)
        case _ if shape.type_name == "boolean":
            right = st.booleans()
        case _ if shape.type_name in ("integer", "long", "double", "float", "timestamp"):
            right = st.integers() | st.floats()
        case _:
            enum = getattr(shape, "enum", None)
            right = (st.sampled_from(enum) | TEXTS) if enum else TEXTS
    return st.integers(0, 9).flatmap(lambda dice: right if dice else ANYTHING)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, str, bytes]:
    """Return method, path, query and body of a request for some operation, more or less."""
    operation: OperationModel = MODEL.operation_model(draw(st.sampled_from(NAMES)))
    path = operation.http["requestUri"].replace("{ResourceArn}", "x")
    shape = operation.input_shape
    for name in shape.members if shape else ():
        text = draw(TEXTS).encode("utf-8", "surrogatepass")
        path = path.replace(f"{{{name}}}", quote(text, safe=draw(st.sampled_from(["", "@:/"]))))
    body = draw(values_of(shape)) if shape else {}
    raw = json.dumps(body).encode()
    raw = draw(st.sampled_from([raw, raw, raw, b"", raw[:-1], b"\xff" + raw, b"[" * 3000]))
    method = draw(st.sampled_from([operation.http["method"]] * 8 + ["GET", "HEAD", "PATCH"]))
    names = st.sampled_from(["PageSize", "NextToken", "ResourceArn", "TagKeys", "x"])
    pairs = draw(st.lists(st.tuples(names, TEXTS), max_size=3))
    query = "&".join(
        f"{name}={quote(text.encode('utf-8', 'surrogatepass'), safe='')}" for name, text in pairs
    )
    return method, path, query, raw


def ask(
    service: Service, key: tuple[str, str] | None, request: tuple[str, str, str, bytes]
) -> tuple[int, dict[str, str], bytes]:
    method, path, query, body = request
    target = path + (f"?{query}" if query else "")
    signed = AWSRequest(method, f"http://127.0.0.1:{service.api}{target}", data=body)
    if key is not None:
        SigV4Auth(Credentials(*key), "ses", "eu-west-1").add_auth(signed)
    connection = http.client.HTTPConnection("127.0.0.1", service.api, timeout=PATIENCE)
    try:
        connection.request(method, target, body, dict(signed.headers.items()))
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()
    finally:
        connection.close()


def check(service: Service, key: tuple[str, str], request: tuple[str, str, str, bytes]) -> None:
    status, headers, body = ask(service, key, request)
    assert status < 500 or status == 501, (status, body)
    assert headers["x-amzn-requestid"]
    assert b"Traceback" not in body
    if status != 200:
        assert headers["x-amzn-errortype"]
        if request[0] != "HEAD":
            assert set(json.loads(body)) == {"message"}
    elif request[0] != "HEAD":
        json.loads(body)
    status, headers, body = ask(service, None, request)
    assert (status, headers["x-amzn-errortype"]) == (403, "MissingAuthenticationToken")


COMMON = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def key(service: Service) -> tuple[str, str]:
    return access_key(service, "send", "manage", "read")


@settings(COMMON, max_examples=EXAMPLES)
@given(request=requests())
def test_any_request_is_answered(
    service: Service, key: tuple[str, str], request: tuple[str, str, str, bytes]
) -> None:
    check(service, key, request)


def test_nothing_of_that_was_a_fault_of_ours(service: Service) -> None:
    assert service.logged("API request failed") == []


@pytest.mark.long
@settings(COMMON, max_examples=LONG_EXAMPLES)
@given(request=requests())
def test_any_of_many_requests_is_answered(
    service: Service, key: tuple[str, str], request: tuple[str, str, str, bytes]
) -> None:
    check(service, key, request)


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_of_ses_has_its_place(
    service: Service, key: tuple[str, str], name: str
) -> None:
    """Each is here or answered 501, where botocore's model has it: none is a path unknown to us."""
    operation = MODEL.operation_model(name)
    path = operation.http["requestUri"]
    for member in operation.input_shape.members if operation.input_shape else ():
        path = path.replace(f"{{{member}}}", "x")
    status, headers, _ = ask(service, key, (operation.http["method"], path, "", b"{}"))
    unknown = headers.get("x-amzn-errortype") == "UnknownOperationException"
    if unknown and knows_more():
        pytest.skip(f"NOT LISTED: {name} is newer than sesv2_missing.py")
    assert not unknown, (status, path)
