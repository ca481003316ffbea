"""SES v2: the suppression list."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from clicktrail.base.ids import epoch_seconds
from clicktrail.ingress.sesv2.identities import SUPPRESSION
from clicktrail.ingress.sesv2.operations import Body, Call, Operation, bad_request
from clicktrail.ingress.sesv2.paging import asked_page, next_token
from clicktrail.ingress.sesv2.set_shapes import ValidationOptions
from clicktrail.store import Store
from clicktrail.store.people.suppression import Suppressed, SuppressionReason, reason_named

_ADDRESSES = "/suppression/addresses"
_ADDRESS = f"{_ADDRESSES}/{{EmailAddress}}"

_LATEST = 2**63 - 1
"""Databases know no later time."""


class PutSuppressed(Body):
    """``PutSuppressedDestination``."""

    email_address: str
    reason: SuppressionReason


class AccountAttributes(Body):
    """``PutAccountSuppressionAttributes``."""

    suppressed_reasons: list[Literal["BOUNCE", "COMPLAINT"]] | None = None
    validation_attributes: ValidationOptions | None = None


class SuppressionOperations:
    """What is done with the suppression list."""

    def __init__(self, store: Store) -> None:
        self._listed = store.suppression
        self._configuration = store.configuration

    def rows(self) -> Iterable[Operation]:
        """Return the operations."""
        manage, read = "manage", "read"
        yield Operation(
            "PutSuppressedDestination", "PUT", _ADDRESSES, manage, self.put, PutSuppressed
        )
        yield Operation("GetSuppressedDestination", "GET", _ADDRESS, read, self.get)
        yield Operation("DeleteSuppressedDestination", "DELETE", _ADDRESS, manage, self.delete)
        yield Operation("ListSuppressedDestinations", "GET", _ADDRESSES, read, self.list)
        yield Operation(
            "PutAccountSuppressionAttributes",
            "PUT",
            "/account/suppression",
            manage,
            self.put_account,
            AccountAttributes,
        )

    async def put(self, _: Call, body: PutSuppressed) -> object:
        """``PutSuppressedDestination``."""
        await self._listed.put(body.email_address, body.reason)
        return {}

    async def get(self, call: Call, _: Body) -> object:
        """``GetSuppressedDestination``."""
        return {"SuppressedDestination": _shown(await self._listed.get(call.path["EmailAddress"]))}

    async def delete(self, call: Call, _: Body) -> object:
        """``DeleteSuppressedDestination``."""
        await self._listed.remove(call.path["EmailAddress"])
        return {}

    async def list(self, call: Call, _: Body) -> object:
        """``ListSuppressedDestinations``."""
        size, after = asked_page(call)
        reasons = [reason_named(each) for each in call.query.get("Reason", ())]
        since, until = _time(call, "StartDate"), _time(call, "EndDate")
        found = await self._listed.page(after, size + 1, reasons, since, until)
        answer: dict[str, object] = {
            "SuppressedDestinationSummaries": [_shown(each) for each in found[:size]]
        }
        return answer | (next_token(found[size - 1].address) if len(found) > size else {})

    async def put_account(self, _: Call, body: AccountAttributes) -> object:
        """``PutAccountSuppressionAttributes``: it replaces what was there."""
        given = {
            "SuppressedReasons": body.suppressed_reasons,
            "ValidationAttributes": body.validation_attributes,
        }
        kept = {name: value for name, value in given.items() if value is not None}
        await self._configuration.set_account(SUPPRESSION, msgspec.json.encode(kept).decode())
        return {}


def _shown(found: Suppressed) -> dict[str, object]:
    return {
        "EmailAddress": found.address,
        "Reason": found.reason,
        "LastUpdateTime": epoch_seconds(found.updated_at),
    }


def _time(call: Call, member: str) -> int | None:
    """Return a time of the query in microseconds since 1970. Raises `ApiError`."""
    text = call.asked(member)
    if text is None:
        return None
    try:
        if text.isascii() and text.isdecimal():  # as some SDKs write it
            return min(int(float(text)) * 1_000_000, _LATEST)
        at = datetime.fromisoformat(text)
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e6)
    except (ValueError, OverflowError):
        raise bad_request(
            f"{member} is {text[:50]!a}: expected a time such as 2026-11-23T12:00:00Z"
        ) from None
