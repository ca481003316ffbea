"""SES v2: identities, and the account."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec

from clicktrail.base.ids import day_of, now_us
from clicktrail.ingress.sesv2.operations import Body, Call, Operation, bad_request
from clicktrail.ingress.sesv2.paging import Page, page
from clicktrail.ingress.sesv2.tags import Tag, given_tags, shown_tags
from clicktrail.keys.dkim import SIZE, check_selector, generate, new_selector, purpose, read_private
from clicktrail.keys.vault import Vault
from clicktrail.model import Dkim, Identity, Where
from clicktrail.store import Store

SUPPRESSION = "SuppressionAttributes"
"""What ``GetAccount`` and the store call the account's options for the suppression list."""
_BOTH = ["BOUNCE", "COMPLAINT"]
_IDENTITY = "/identities/{EmailIdentity}"
UNLIMITED = -1.0
"""SES's sign of a quota without a limit (``SendQuota.Max24HourSend``)."""
MANY = 1_000_000.0
"""Emails a second. SES has no sign for no limit here, and clients that pace themselves divide."""


class SigningAttributes(Body):
    """``DkimSigningAttributes``: a key of the caller's, or the size of one that is made here."""

    domain_signing_selector: str | None = None
    domain_signing_private_key: str | None = None
    next_signing_key_length: str | None = None
    domain_signing_attributes_origin: str | None = None


class CreateIdentity(Body):
    """``CreateEmailIdentity``."""

    email_identity: str
    dkim_signing_attributes: SigningAttributes | None = None
    configuration_set_name: str | None = None
    tags: tuple[Tag, ...] = ()


class BindIdentity(Body):
    """``PutEmailIdentityConfigurationSetAttributes``; without a name it is bound to none."""

    configuration_set_name: str | None = None


class PutSigning(Body):
    """``PutEmailIdentityDkimSigningAttributes``."""

    signing_attributes_origin: str
    signing_attributes: SigningAttributes | None = None


class PutDkim(Body):
    """``PutEmailIdentityDkimAttributes``."""

    signing_enabled: bool = False


class IdentityOperations:
    """What is done with identities. Whoever may manage says that they are theirs: no DNS check."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault
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
        yield Operation(
            "PutEmailIdentityDkimSigningAttributes",
            "PUT",
            f"{_IDENTITY}/dkim/signing",
            manage,
            self.put_signing,
            PutSigning,
        )
        yield Operation(
            "PutEmailIdentityDkimAttributes",
            "PUT",
            f"{_IDENTITY}/dkim",
            manage,
            self.put_dkim,
            PutDkim,
        )
        # django-ses asks for the quotas before it sends.
        yield Operation(
            "GetAccount",
            "GET",
            "/account",
            read,
            self.account,
            other_scopes=frozenset({"send"}),
        )

    async def create(self, _: Call, body: CreateIdentity) -> object:
        """``CreateEmailIdentity``."""
        given = body.dkim_signing_attributes
        private = _private_key(given) if given else None  # refused before anything is made
        made = await self._configuration.create_identity(
            body.email_identity, body.configuration_set_name, given_tags(body.tags)
        )
        if given is not None and private is not None:
            made = await self._give_key(made, given, private)
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

    async def put_signing(self, call: Call, body: PutSigning) -> object:
        """``PutEmailIdentityDkimSigningAttributes``."""
        origin = body.signing_attributes_origin
        if origin not in (OWN, GIVEN):
            raise bad_request(f"SigningAttributesOrigin is {origin!r}: use {OWN} or {GIVEN}")
        given = body.signing_attributes or SigningAttributes()
        if (given.domain_signing_private_key is not None) != (origin == GIVEN):
            raise bad_request(
                f"SigningAttributes.DomainSigningPrivateKey belongs to the origin {GIVEN}"
            )
        found = await self._configuration.get_identity(call.path["EmailIdentity"])
        found = await self._give_key(found, given, _private_key(given))
        return {"DkimStatus": "SUCCESS", "DkimTokens": []}

    async def put_dkim(self, call: Call, body: PutDkim) -> object:
        """``PutEmailIdentityDkimAttributes``: the key stays where signing is switched off."""
        found = await self._configuration.get_identity(call.path["EmailIdentity"])
        if found.dkim is not None:
            key = replace(found.dkim, enabled=body.signing_enabled)
            await self._configuration.set_dkim(found.name, key)
        elif body.signing_enabled:
            raise bad_request(
                f"the identity {found.name} has no DKIM key: give it one with"
                " PutEmailIdentityDkimSigningAttributes"
            )
        return {}

    async def _give_key(
        self, found: Identity, given: SigningAttributes, private: bytes
    ) -> Identity:
        is_given = given.domain_signing_private_key is not None
        key = Dkim(
            given.domain_signing_selector or new_selector(),
            self._vault.seal(private, purpose(found.name)),
            GIVEN if is_given else OWN,
        )
        await self._configuration.set_dkim(found.name, key)
        return replace(found, dkim=key)

    async def account(self, _: Call, __: Body) -> object:
        """``GetAccount``. ``SentLast24Hours`` is what was sent since midnight (UTC)."""
        today = day_of(now_us())
        days = await self._store.statistics.daily(Where(since=today, until=today))
        sent = float(sum(day.sent for day in days))
        quota = {
            "Max24HourSend": UNLIMITED,
            "MaxSendRate": MANY,
            "SentLast24Hours": sent,
        }
        options = (await self._configuration.current()).account.get(SUPPRESSION)
        return {
            SUPPRESSION: msgspec.json.decode(options) if options else {"SuppressedReasons": _BOTH},
            "DedicatedIpAutoWarmupEnabled": False,
            "EnforcementStatus": "HEALTHY",
            "ProductionAccessEnabled": True,
            "SendingEnabled": True,
            "SendQuota": quota,
            "VdmAttributes": {"VdmEnabled": "ENABLED"},
        }


def _kind(found: Identity) -> str:
    return "EMAIL_ADDRESS" if "@" in found.name else "DOMAIN"


OWN, GIVEN = "AWS_SES", "EXTERNAL"
_SIZES = {None: SIZE, "RSA_1024_BIT": 1024, "RSA_2048_BIT": 2048}


def _private_key(given: SigningAttributes) -> bytes:
    """Return the key that is given, or a new one. Raises `ApiError` and `InvalidInput`."""
    origin = GIVEN if given.domain_signing_private_key is not None else OWN
    if given.domain_signing_attributes_origin not in (None, origin):
        raise bad_request(
            f"DomainSigningAttributesOrigin is {given.domain_signing_attributes_origin!a}: use"
            f" {OWN} without a key, {GIVEN} with one"
        )
    if given.domain_signing_private_key is not None:
        if not given.domain_signing_selector:
            raise bad_request("DkimSigningAttributes.DomainSigningSelector is missing")
        check_selector(given.domain_signing_selector)
        return read_private(given.domain_signing_private_key.encode())
    size = _SIZES.get(given.next_signing_key_length)
    if size is None:
        raise bad_request(
            f"NextSigningKeyLength is {given.next_signing_key_length!r}: use RSA_2048_BIT or"
            " RSA_1024_BIT"
        )
    return generate(size)


def _dkim(found: Identity) -> dict[str, Any]:
    key = found.dkim
    if key is None:
        return {"SigningEnabled": False, "Status": "NOT_STARTED"}
    return {
        "SigningEnabled": key.enabled,
        "Status": "SUCCESS",
        "Tokens": [key.selector],
        "SigningAttributesOrigin": key.origin,
    }
