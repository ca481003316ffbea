"""The API: SES v2, and what reads built-in streams."""

import secrets

from clicktrail.doors.asgi import AsgiServer, Limits
from clicktrail.doors.budget import Budget
from clicktrail.doors.forwarded import Visitors
from clicktrail.ingress.sesv2.api import SesV2, create_api
from clicktrail.ingress.sesv2.identities import IdentityOperations
from clicktrail.ingress.sesv2.metric_data import MetricData
from clicktrail.ingress.sesv2.operations import Operation
from clicktrail.ingress.sesv2.recipients.contacts import ContactOperations
from clicktrail.ingress.sesv2.recipients.suppression import SuppressionOperations
from clicktrail.ingress.sesv2.send_email import EmailSender, SendOptions
from clicktrail.ingress.sesv2.sending.bulk_email import BulkSender
from clicktrail.ingress.sesv2.sending.templates import TemplateOperations, Templates
from clicktrail.ingress.sesv2.sets import SetOperations
from clicktrail.ingress.sesv2.sigv4 import SigV4Authenticator
from clicktrail.ingress.sesv2.tags import TagOperations
from clicktrail.publish.rendering_failure import RenderingFailures
from clicktrail.service.checks.opening import opening
from clicktrail.service.checks.smarthost import check_smarthost
from clicktrail.service.house import House
from clicktrail.service.parts.folder import followed_vault, secret_of
from clicktrail.service.parts.sending import acceptor_of, smarthost_of
from clicktrail.service.parts.store import check_sealing, open_store
from clicktrail.settings.settings import Settings
from clicktrail.store import Store
from clicktrail.store.people.access_keys import SealedKeys


def check(settings: Settings) -> None:
    """See that its settings can be used. Raises `SettingError`."""
    check_smarthost(settings)


async def build(house: House) -> None:
    """Start it. Raises `ClicktrailError`."""
    settings = house.settings
    store = await open_store(house)
    await check_sealing(house, store)
    token = secret_of(
        settings["api.token"], house.folder / "api-token", lambda: secrets.token_urlsafe(32)
    )
    keys = SealedKeys(store.access_keys, followed_vault(house.folder), store.configuration)
    visitors = Visitors(settings["api.trusted_proxies"])
    largest = body_limit(settings)
    workers = settings.workers("api")  # what all may take, they share
    memory = Budget(settings["api.memory"] // workers, largest)
    ses = SesV2(SigV4Authenticator(keys), operations(house, store), largest, memory, visitors)
    limits = Limits(
        connections=-(-settings["api.max_connections"] // workers),
        for_one=settings["api.max_per_address"],
        waiting=-(-settings["api.max_waiting"] // workers),
    )
    api = create_api(store.streams, token, ses, store.clickers, store.do_not_track)
    server = AsgiServer(api, settings["api.listen"], limits, visitors.trusts, shared=workers > 1)
    house.ends.append(server.stop)
    with opening(settings, "api.listen"):
        await server.start()
    house.lines.append(f"api        http://{server.address}")


def body_limit(settings: Settings) -> int:
    """Return the largest request, in bytes: the largest email as base64, and a bit."""
    largest: int = settings["smtp.max_size"]
    return largest * 3 // 2 + 65_536


def operations(house: House, store: Store) -> list[Operation]:
    """Return all that the SES v2 API does, at work on the parts of this process."""
    settings = house.settings
    templates = Templates(
        store.templates,
        settings["smtp.max_size"],
        escape=settings["api.escape_templates"] == "yes",
    )
    sender = EmailSender(  # it goes the way of the SMTP door
        SendOptions(settings.hostname, settings["smtp.max_size"]),
        acceptor_of(house, store),
        smarthost_of(house),
        store.configuration,
        RenderingFailures(store),
        templates,
    )
    house.ends.append(sender.stop)
    return [
        *SetOperations(store.configuration).rows(),
        *IdentityOperations(store, followed_vault(house.folder)).rows(),
        *SuppressionOperations(store).rows(),
        *ContactOperations(store).rows(),
        *TagOperations(store.resource_tags).rows(),
        *MetricData(store).rows(),
        *TemplateOperations(templates, settings.hostname).rows(),
        *sender.rows(),
        *BulkSender(sender, templates, store.configuration).rows(),
    ]
