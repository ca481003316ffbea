"""SES v2: identities, and the account."""

from collections.abc import Iterable
from typing import Any

from clicktrail.ids import day_of, now_us
from clicktrail.ingress.sesv2 import Body, Call, Operation
from clicktrail.ingress.sesv2_paging import Page, page
from clicktrail.ingress.sesv2_tags import Tag, given_tags, shown_tags
from clicktrail.model import Identity
from clicktrail.store import Store

_IDENTITY = "/identities/{EmailIdentity}"
UNLIMITED = -1.0
"""SES's sign of a quota without a limit (``SendQuota.Max24HourSend``)."""
MANY = 1_000_000.0
"""Emails a second. SES has no sign for no limit here, and clients that pace themselves divide."""


class CreateIdentity(Body):
    """``CreateEmailIdentity``."""

    email_identity: str
    configuration_set_name: str | None = None
    tags: tuple[Tag, ...] = ()


class BindIdentity(Body):
    """``PutEmailIdentityConfigurationSetAttributes``; without a name it is bound to none."""

    configuration_set_name: str | None = None


class IdentityOperations:
    """What is done with identities. Whoever may manage says that they are theirs: no DNS check."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._configuration = store.configuration

    def rows(self) -> Iterable[Operation]:
        """Return the operations."""
        manage, read = "manage", "read"
        yield Operation(
            "CreateEmailIdentity", "POST", "/identities", manage, self.create, CreateIdentity
        )
        yield Operation("ListEmailIdentities", "POST", "/list-identities", read, self.list, Page)
        yield Operation("ListEmailIdentities", "GET", "/identities", read, self.list)
        yield Operation("GetEmailIdentity", "GET", _IDENTITY, read, self.get)
        yield Operation("DeleteEmailIdentity", "DELETE", _IDENTITY, manage, self.delete)
        yield Operation(
            "PutEmailIdentityConfigurationSetAttributes",
            "PUT",
            f"{_IDENTITY}/configuration-set",
            manage,
            self.bind,
            BindIdentity,
        )
        yield Operation("GetAccount", "GET", "/account", read, self.account)

    async def create(self, _: Call, body: CreateIdentity) -> object:
        """``CreateEmailIdentity``."""
        made = await self._configuration.create_identity(
            body.email_identity, body.configuration_set_name, given_tags(body.tags)
        )
        return {
            "IdentityType": _kind(made),
            "VerifiedForSendingStatus": True,
            "DkimAttributes": _dkim(made),
        }

    async def list(self, call: Call, body: Body) -> object:
        """``ListEmailIdentities``."""
        found = {each.name: each for each in await self._configuration.list_identities()}
        shown, following = page(sorted(found), call, body)
        identities = [
            {
                "IdentityType": _kind(found[name]),
                "IdentityName": name,
                "SendingEnabled": True,
                "VerificationStatus": "SUCCESS",
            }
            for name in shown
        ]
        return {"EmailIdentities": identities} | following

    async def get(self, call: Call, _: Body) -> object:
        """``GetEmailIdentity``."""
        found = await self._configuration.get_identity(call.path["EmailIdentity"])
        answer: dict[str, Any] = {
            "IdentityType": _kind(found),
            "FeedbackForwardingStatus": True,
            "VerifiedForSendingStatus": True,
            "VerificationStatus": "SUCCESS",
            "DkimAttributes": _dkim(found),
            "MailFromAttributes": {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"},
            "Policies": {},
            "Tags": shown_tags(found.tags),
        }
        if found.configuration_set:
            answer["ConfigurationSetName"] = found.configuration_set
        return answer

    async def delete(self, call: Call, _: Body) -> object:
        """``DeleteEmailIdentity``."""
        await self._configuration.delete_identity(call.path["EmailIdentity"])
        return {}

    async def bind(self, call: Call, body: BindIdentity) -> object:
        """``PutEmailIdentityConfigurationSetAttributes``."""
        await self._configuration.bind_identity(
            call.path["EmailIdentity"], body.configuration_set_name or None
        )
        return {}

    async def account(self, _: Call, __: Body) -> object:
        """``GetAccount``. ``SentLast24Hours`` is what was sent since midnight (UTC)."""
        today = day_of(now_us())
        days = await self._store.statistics.daily(since=today, until=today)
        sent = float(sum(day.sent for day in days))
        quota = {
            "Max24HourSend": UNLIMITED,
            "MaxSendRate": MANY,
            "SentLast24Hours": sent,
        }
        return {
            "DedicatedIpAutoWarmupEnabled": False,
            "EnforcementStatus": "HEALTHY",
            "ProductionAccessEnabled": True,
            "SendingEnabled": True,
            "SendQuota": quota,
            "VdmAttributes": {"VdmEnabled": "ENABLED"},
        }


def _kind(found: Identity) -> str:
    return "EMAIL_ADDRESS" if "@" in found.name else "DOMAIN"


def _dkim(_: Identity) -> dict[str, Any]:
    return {"SigningEnabled": False, "Status": "NOT_STARTED"}
