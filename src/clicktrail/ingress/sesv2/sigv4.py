"""Who calls the API: AWS Signature Version 4 in the ``Authorization`` header.

The signature is computed anew with botocore, over the path as it came, the ``Host`` that came, and
the headers that the caller signed ("Create a signed AWS API request", AWS IAM User Guide).
"""

import hashlib
import hmac
import re
import time
from calendar import timegm
from collections.abc import Callable
from typing import Any, Protocol

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from clicktrail.ingress.sesv2.operations import ApiError, ApiRequest, Principal

SERVICES = ("ses", "email")
"""Signing names in use: SES clients sign for the first."""

CLOCK_SECONDS = 300
"""How far the caller's clock may be off."""

MOST_HEADERS = 100
"""How many headers may be signed; clients sign about ten."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/,\s]{1,128})/(?P<day>\d{8})/(?P<region>[\w-]{1,64})"
    r"/(?P<service>[\w-]{1,64})/aws4_request\s*,\s*SignedHeaders=(?P<headers>[\w;.-]{1,4096})"
    r"\s*,\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE = re.compile(r"\d{8}T\d{6}Z")
_UNSIGNED = "UNSIGNED-PAYLOAD"


class AccessKeys(Protocol):
    """Where access keys are kept."""

    async def secret(self, key_id: str) -> tuple[str, frozenset[str]] | None:
        """Return the secret and the scopes of a key that may be used."""
        ...


class _Verification(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Signs exactly the headers that the caller has signed, and a body whose hash is known."""

    body_hash = ""

    def payload(self, request: Any) -> str:
        return self.body_hash or str(super().payload(request))

    def headers_to_sign(self, request: Any) -> HTTPHeaders:
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            headers[name.lower()] = value
        return headers


class SigV4Authenticator:
    """An `Authenticator` by access keys. ``now`` gives the time in seconds since 1970."""

    def __init__(self, keys: AccessKeys, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._now = now

    async def admit(self, request: ApiRequest) -> None:
        """See `Authenticator.admit`."""
        found, names, date = self._read_head(request)
        key = await self._keys.secret(found["key"])
        if key is None:
            raise _refused("InvalidClientTokenId", "this access key does not exist or is off")
        declared = request.headers.get("x-amz-content-sha256")
        if declared is not None and "x-amz-content-sha256" in names:
            # The body's hash is signed in its place: the signature can be checked without it.
            expected = _signature(request, names, date, found["region"], found["service"], key[0])
            if not hmac.compare_digest(expected, found["signature"]):
                raise _wrong()

    async def authenticate(self, request: ApiRequest) -> Principal:
        """See `Authenticator.authenticate`."""
        found, names, date = self._read_head(request)
        declared = request.headers.get("x-amz-content-sha256")
        actual = hashlib.sha256(request.body).hexdigest()
        if declared not in (None, _UNSIGNED, actual):
            raise _refused("InvalidSignatureException", "the body is not the one that was signed")
        key = await self._keys.secret(found["key"])
        # A key that is not known takes as long as one that is.
        secret, scopes = key if key is not None else ("", frozenset())
        place = found["region"], found["service"]
        expected = _signature(request, names, date, *place, secret, actual)
        if not hmac.compare_digest(expected, found["signature"]) or key is None:
            if key is None:
                raise _refused("InvalidClientTokenId", "this access key does not exist or is off")
            raise _wrong()
        return Principal(found["key"], scopes)

    def _read_head(self, request: ApiRequest) -> tuple[re.Match[str], list[str], str]:
        """Return the parts of Authorization, the signed headers and the date. Raises `ApiError`."""
        given = request.headers.get("authorization")
        if given is None:
            raise _refused("MissingAuthenticationToken", "sign the request with an access key")
        found = _AUTHORIZATION.fullmatch(given.strip())
        if found is None:
            raise _refused(
                "IncompleteSignature",
                "the Authorization header is not one of AWS Signature Version 4",
            )
        names = found["headers"].split(";")
        if len(names) > MOST_HEADERS:
            raise _refused("IncompleteSignature", f"sign at most {MOST_HEADERS} headers")
        date = request.headers.get("x-amz-date", "")
        if not {"host", "x-amz-date"} <= set(names) or not _DATE.fullmatch(date):
            raise _refused("IncompleteSignature", "sign the headers Host and X-Amz-Date")
        if found["service"] not in SERVICES:
            raise _refused("SignatureDoesNotMatch", "sign for the service ses")
        if date[:8] != found["day"]:
            raise _refused("SignatureDoesNotMatch", "X-Amz-Date is of another day than Credential")
        try:
            off = abs(self._now() - timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")))
        except ValueError:
            raise _refused("IncompleteSignature", "X-Amz-Date is not a time") from None
        if off > CLOCK_SECONDS:
            raise _refused(
                "RequestExpired",
                f"X-Amz-Date {date} is more than {CLOCK_SECONDS // 60} minutes off: set your clock",
            )
        return found, names, date


def _signature(
    request: ApiRequest,
    names: list[str],
    date: str,
    region: str,
    service: str,
    secret: str,
    body_hash: str = "",
) -> str:
    """Return the signature that the request should have."""
    signer = _Verification(Credentials("", secret), service, region)
    signer.body_hash = body_hash
    query = f"?{request.query}" if request.query else ""
    # https, whatever it is: then the payload is what the headers say, or the hash of the body.
    again = AWSRequest(
        method=request.method,
        url=f"https://host{request.path}{query}",
        headers={name: request.headers.get(name, "") for name in names},
        data=request.body,
    )
    again.context["timestamp"] = date
    text = signer.string_to_sign(again, signer.canonical_request(again))
    return str(signer.signature(text, again))


def _refused(code: str, message: str) -> ApiError:
    return ApiError(403, code, message)


def _wrong() -> ApiError:
    return _refused(
        "SignatureDoesNotMatch",
        "the signature is not that of this request with this access key: check the secret",
    )
