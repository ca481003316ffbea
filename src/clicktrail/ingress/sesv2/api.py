"""The HTTP API: SES v2, and reading the built-in streams. Starlette lives only here."""

import asyncio
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from clicktrail.base.logs import get_logger
from clicktrail.doors.budget import Budget, Share
from clicktrail.doors.connections import waiting_apart
from clicktrail.doors.forwarded import ScopeHeaders, Visitors
from clicktrail.errors import ClicktrailError, TooManyWaiting
from clicktrail.ingress.sesv2.missing import NOT_HERE
from clicktrail.ingress.sesv2.operations import (
    BASE,
    ApiError,
    ApiRequest,
    Authenticator,
    Call,
    Operation,
    Principal,
    Router,
    bad_request,
    body_of,
    error_of,
    query_of,
)
from clicktrail.ingress.sesv2.who import who_clicked, who_is_not_tracked
from clicktrail.store.finding.clickers import Clickers
from clicktrail.store.people.do_not_track import DoNotTrack

log = get_logger(__name__)

MOST = 1000
"""How many events one answer holds at the most."""
LONGEST_WAIT = 30.0
_POLL_SECONDS = 0.05
WAIT_SECONDS = 10.0
"""How long a body may wait for memory."""
RETRY_SECONDS = 1
"""After which a client should try again what there is no room for now."""


class StreamEvent(Protocol):
    """An event of the built-in stream, as the store gives it."""

    @property
    def position(self) -> int:
        """Its place in the stream: grows, with gaps."""

    @property
    def payload(self) -> bytes:
        """The notification, as JSON."""


class Streams(Protocol):
    """Where the built-in streams are read."""

    async def read(self, stream: str | None, after: int, limit: int) -> Sequence[StreamEvent]:
        """Return events after a position, the oldest first."""


def create_api(
    streams: Streams,
    token: str,
    ses: "SesV2 | None" = None,
    clickers: Clickers | None = None,
    do_not_track: DoNotTrack | None = None,
) -> Starlette:
    """Return the API: SES v2 below ``/v2/email``, the built-in streams, and who clicked.

    Requests but for SES v2 need ``Authorization: Bearer TOKEN``. ``GET /v1/clicks`` is
    `who_clicked`, ``/v1/do-not-track`` `who_is_not_tracked`.
    ``GET /v1/streams/{name}/events?after=0&limit=100&wait=0`` answers
    ``{"events": [{"position": 1, "event": {…}}, …], "next": 1}``: the events after a position, at
    most ``limit`` of them; with none there yet it waits up to ``wait`` seconds for the first. Ask
    again with ``after`` = ``next``. Errors are ``{"message": "…"}`` with status 400, 401, 404
    or, where too many wait already, 503.
    """

    async def events(request: Request) -> Response:
        if not _allowed(request, token):
            return _error(401, "give the API token: Authorization: Bearer …")
        try:
            after = _number(request, "after", 0, 0, 2**63 - 1)
            limit = _number(request, "limit", 100, 1, MOST)
            wait = _number(request, "wait", 0, 0, LONGEST_WAIT)
        except ValueError as error:
            return _error(400, str(error))
        name = request.path_params["name"]
        found = await streams.read(name, int(after), int(limit))
        if not found and wait:
            try:
                with waiting_apart(request.scope):
                    found = await wait_for(request, name, int(after), int(limit), wait)
            except TooManyWaiting as error:
                answer = _error(503, str(error))
                answer.headers["Retry-After"] = str(RETRY_SECONDS)
                return answer
        shown = [{"position": e.position, "event": msgspec.Raw(e.payload)} for e in found]
        following = found[-1].position if found else int(after)
        return _json(200, {"events": shown, "next": following})

    async def wait_for(
        request: Request, name: str, after: int, limit: int, wait: float
    ) -> Sequence[StreamEvent]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        found: Sequence[StreamEvent] = ()
        while not found and loop.time() < until and not await request.is_disconnected():
            await asyncio.sleep(_POLL_SECONDS)
            found = await streams.read(name, after, limit)
        return found

    async def clicks(request: Request) -> Response:
        if not _allowed(request, token):
            return _error(401, "give the API token: Authorization: Bearer …")
        assert clickers is not None
        try:
            return await who_clicked(request, clickers)
        except ClicktrailError as error:
            return _error(error_of(error).status, str(error))

    async def wishes(request: Request) -> Response:
        if not _allowed(request, token):
            return _error(401, "give the API token: Authorization: Bearer …")
        assert do_not_track is not None
        try:
            return _json(200, await who_is_not_tracked(request, do_not_track))
        except ClicktrailError as error:
            return _error(error_of(error).status, str(error))

    async def health(_: Request) -> Response:
        return _json(200, {"status": "ok"})

    async def not_found(request: Request, _: Exception) -> Response:
        # Starlette's routes match no line feed in a path, escaped though it was.
        if ses is not None and request.scope["raw_path"].startswith(f"{BASE}/".encode()):
            return await ses.answer(request)
        return _error(404, "there is nothing at this path")

    async def not_allowed(_: Request, __: Exception) -> Response:
        return _error(405, "this method is not used here")

    routes = [Route("/v1/streams/{name}/events", events), Route("/healthz", health)]
    if clickers is not None:
        routes.append(Route("/v1/clicks", clicks))
    if do_not_track is not None:
        routes.append(Route("/v1/do-not-track", wishes))
        # RFC 5322 § 3.2.3: "/" is one of an address's characters, and comes escaped.
        routes.append(Route("/v1/do-not-track/{entry:path}", wishes, methods=["PUT", "DELETE"]))
    if ses is not None:
        every = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        routes.append(Route(BASE + "/{rest:path}", ses.answer, methods=every))
        routes.append(Route("/", _first_version, methods=["POST"]))
    return Starlette(
        routes=routes,
        exception_handlers={404: not_found, 405: not_allowed},
    )


async def _first_version(_: Request) -> Response:
    """Tell clients of SES v1, which send all to this path and read XML, what to use instead."""
    return Response(_FIRST_VERSION.format(uuid.uuid4()), 501, media_type="text/xml")


_FIRST_VERSION = (
    '<ErrorResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><Error><Type>Sender</Type>'
    "<Code>NotImplementedException</Code><Message>this is a call of the SES API v1: use v2"
    " (sesv2 in boto3 and the AWS CLI, USE_SES_V2 in django-ses, nodemailer 7)</Message></Error>"
    "<RequestId>{}</RequestId></ErrorResponse>"
)


def _allowed(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())


def _number(request: Request, name: str, default: float, low: float, high: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = float(text) if name == "wait" else int(text)
    except ValueError:
        number = -1
    if not low <= number <= high:
        raise ValueError(f"{name} is {text!r}: expected a number from {low:g} to {high:g}")
    return number


def _json(status: int, value: object) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _error(status: int, message: str) -> Response:
    answer = _json(status, {"message": message})
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 § 11.6.1
    return answer


class SesV2:
    """Answers requests of SES v2 clients: who calls, which operation, then its answer.

    ``body_limit`` is in bytes. No body is kept before all that can be checked without it is; all
    bodies together fit in ``memory``. ``visitors`` tells whose a request is behind proxies.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        operations: Sequence[Operation],
        body_limit: int,
        memory: Budget,
        visitors: Visitors,
    ) -> None:
        self._memory = memory
        self._visitors = visitors
        self._authenticator = authenticator
        self._router = Router(operations, NOT_HERE)
        self._body_limit = body_limit

    async def answer(self, request: Request) -> Response:
        """Answer a request; every answer has a request id."""
        request_id = str(uuid.uuid4())
        try:
            response = _json(200, await self._do(request))
        except ClicktrailError as error:
            response = _ses_error(error_of(error))
        except ClientDisconnect:
            response = Response(status_code=400)  # nobody reads it
        except Exception:
            log.exception("API request failed", request_id=request_id)
            response = _ses_error(
                ApiError(500, "InternalFailure", "something went wrong here: the log tells more")
            )
        response.headers["x-amzn-RequestId"] = request_id
        return response

    async def _do(self, request: Request) -> object:
        head = self._head(request)
        try:
            await self._authenticator.admit(head)
        except ApiError:
            await self._pass_over(request)
            raise
        with self._memory.share(head.source_ip or "") as share:
            given = replace(head, body=await self._body(request, share))
            principal = await self._authenticator.authenticate(given)
            path = given.path.removeprefix(BASE)
            operation, values = self._router.find(given.method, path.rstrip("/"))
            _check_scope(principal, operation)
            call = Call(principal, values, query_of(given.query), given.source_ip)
            return await operation.handler(call, body_of(operation, given.body))

    def _head(self, request: Request) -> ApiRequest:
        """Return the request as it came, but for its body."""
        return ApiRequest(
            request.method,
            request.scope["raw_path"].decode("latin-1"),
            request.scope["query_string"].decode("latin-1"),
            _joined_headers(request),
            b"",
            self._visitors.address(ScopeHeaders(request.scope)) or None,
        )

    async def _body(self, request: Request, share: Share) -> bytes:
        """Return the body. Raises `ApiError` for one over the limit, or without room for it."""
        body = bytearray()
        async for chunk in request.stream():
            if len(body) + len(chunk) > self._body_limit:
                raise bad_request(f"the request is longer than {self._body_limit} bytes")
            if not await share.wait_to_grow(len(chunk), WAIT_SECONDS):
                raise ApiError(
                    429, "TooManyRequestsException", "too much is coming in at once: try again"
                )
            body += chunk
        return bytes(body)

    async def _pass_over(self, request: Request) -> None:
        """Read a body and keep nothing of it: clients send all of it before they read an answer."""
        if "expect" in request.headers:  # RFC 9110 § 10.1.1: this one waits for the answer
            return
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._body_limit:
                return


def _joined_headers(request: Request) -> dict[str, str]:
    """Return the headers by lower-case name; several lines are one list (RFC 9110 § 5.3)."""
    found: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        found.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in found.items()}


def _check_scope(principal: Principal, operation: Operation) -> None:
    scopes = principal.scopes
    enough = {operation.scope} | operation.other_scopes
    if operation.scope == "read":
        enough |= {"manage"}
    if not scopes.isdisjoint(enough):
        return
    raise ApiError(
        403,
        "AccessDeniedException",
        f"{operation.name} needs an access key with the scope {operation.scope}; this one has"
        f" {', '.join(sorted(scopes))}",
    )


def _ses_error(error: ApiError) -> Response:
    response = _json(error.status, {"message": error.message})
    response.headers["x-amzn-ErrorType"] = error.code
    if error.status in (429, 503):
        response.headers["Retry-After"] = str(RETRY_SECONDS)  # RFC 9110 § 10.2.3
    return response
