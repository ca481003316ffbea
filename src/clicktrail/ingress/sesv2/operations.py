"""The SES v2 API on the wire, apart from HTTP: calls, operations, errors.

An operation is a row: its name, where it is, what its body looks like, who may call it, and what
does it. Routing, the checks of bodies and scopes, and ``docs/sesv2.md`` all read the same rows.
Names and shapes are those of the Amazon SES API v2 reference.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

import msgspec

from clicktrail.base.json_input import InvalidJson, read_json
from clicktrail.errors import (
    AlreadyExists,
    ClicktrailError,
    InvalidInput,
    NotFound,
    StoreUnavailable,
)

BASE = "/v2/email"


class ApiError(ClicktrailError):
    """An answer that is an error: HTTP status, and SES's name of the exception."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def bad_request(message: str) -> ApiError:
    """Return the error for a request that can never work."""
    return ApiError(400, "BadRequestException", message)


def error_of(error: ClicktrailError) -> ApiError:
    """Return the error that tells the caller of one of ours."""
    match error:
        case ApiError():
            return error
        case NotFound():
            return ApiError(404, "NotFoundException", str(error))
        case AlreadyExists():
            return ApiError(400, "AlreadyExistsException", str(error))
        case InvalidInput():
            return bad_request(str(error))
        case StoreUnavailable():
            return ApiError(503, "ServiceUnavailable", "the database cannot be used now: try again")
        case _ if error.permanent:
            return bad_request(str(error))
        case _:
            return ApiError(503, "ServiceUnavailable", str(error))


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. ``scopes`` are some of ``send``, ``manage``, ``read``."""

    key_id: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request as it came. ``path`` and ``query`` are raw, ``headers`` have lower-case names."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str | None = None


class Authenticator(Protocol):
    """Tells who sends a request."""

    async def admit(self, request: ApiRequest) -> None:
        """Check what can be checked without the body, which is not read yet. Raises `ApiError`."""

    async def authenticate(self, request: ApiRequest) -> Principal:
        """Return who it is. Raises `ApiError`."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A request for an operation: who calls, and what stands in the path and in the query."""

    principal: Principal
    path: Mapping[str, str]
    query: Mapping[str, list[str]] = field(default_factory=dict)
    source_ip: str | None = None

    def asked(self, name: str) -> str | None:
        """Return a parameter of the query."""
        return next(iter(self.query.get(name, ())), None)


Handler = Callable[[Call, Any], Awaitable[object]]
"""Does an operation; what it returns is encoded as JSON."""


class Body(msgspec.Struct, rename="pascal", kw_only=True, forbid_unknown_fields=True):
    """A request's body, or a part of one. Members that are not known are refused by name.

    Whoever asks for something that is not done here is to know it: none is passed over in silence.
    """


class Nothing(Body):
    """The body of operations that have none."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``path`` is a template such as ``/identities/{EmailIdentity}``."""

    name: str
    method: str
    path: str
    scope: str
    handler: Handler
    body: type[Body] = Nothing
    other_scopes: frozenset[str] = frozenset()
    """Scopes that are enough as well."""


class Router:
    """Finds operations by method and raw path."""

    def __init__(self, operations: Iterable[Operation], others: Mapping[tuple[str, str], str]):
        self._routes: list[tuple[str, list[str], Operation | str]] = [
            (each.method, each.path.split("/"), each) for each in operations
        ]
        self._routes += [(method, path.split("/"), name) for (method, path), name in others.items()]

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """Return the operation at a path below `BASE`, and what the path holds.

        Raises `ApiError`: 501 for an operation of SES that is not here, else 404.
        """
        given = path.split("/")
        found: tuple[int, Operation | str, dict[str, str]] | None = None
        for method_, template, operation in self._routes:
            values = _match(template, given) if method_ == method else None
            # Of two that fit, the one with fewer places left open: "/tenants/list".
            if values is not None and (found is None or len(values) < found[0]):
                found = len(values), operation, values
        if found is None:
            raise ApiError(
                404, "UnknownOperationException", "there is no operation at this method and path"
            )
        _, operation, values = found
        if isinstance(operation, str):
            raise ApiError(
                501,
                "NotImplementedException",
                f"{operation} is not implemented by Clicktrail, which tracks clicks",
            )
        return operation, values


def _match(template: list[str], given: list[str]) -> dict[str, str] | None:
    if len(template) != len(given):
        return None
    values = {}
    for expected, part in zip(template, given, strict=True):
        if expected.startswith("{"):
            if not part:
                return None
            values[expected[1:-1]] = unquote(part)
        elif expected != part:
            return None
    return values


def body_of(operation: Operation, raw: bytes) -> Body:
    """Return the body of a request for an operation. Raises `ApiError` naming the member."""
    try:
        # An operation all of whose members are optional may be called with no body at all.
        return read_json(raw or b"{}", operation.body)
    except InvalidJson as error:
        raise bad_request(f"the body: {error}") from None


def query_of(raw: str) -> dict[str, list[str]]:
    """Return the parameters of a query. Raises `ApiError` for too many."""
    try:
        return parse_qs(raw, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise bad_request("the query has too many parameters") from None
