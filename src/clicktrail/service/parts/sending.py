"""The way of an email in a process: who accepts it, and the smarthost that it goes to."""

from clicktrail.errors import InvalidInput
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.compose.sample import SampleSender
from clicktrail.relay import open_smarthost
from clicktrail.relay.maildir import MaildirSmarthost
from clicktrail.relay.smarthost import SmtpSmarthost
from clicktrail.service.checks.smarthost import SENDING, SmarthostCheck
from clicktrail.service.house import House
from clicktrail.service.parts.folder import followed_vault
from clicktrail.store import Store


def acceptor_of(house: House, store: Store) -> Acceptor:
    """Return what takes emails at every door."""
    settings = house.settings
    return Acceptor(
        store,
        house.keys,
        settings.tracking_hosts,
        settings.hostname,
        house.metrics,
        settings["machine.honeypot"],
        settings["identities.required"],
        vault=followed_vault(house.folder),
        faults=house.faults,
        seven_bit=settings["smarthost.seven_bit"] == "always",
        max_size=settings["smtp.max_size"],
    )


def smarthost_of(house: House) -> SmtpSmarthost | MaildirSmarthost | None:
    """Return the smarthost that the roles of this process share; ``None`` without one."""
    if house.smarthost is None and house.settings.text("smarthost.url"):
        house.smarthost = open_smarthost(house.settings, house.faults, house.metrics)
        house.ends.append(house.smarthost.close)
        if not SENDING.isdisjoint(house.roles):
            house.tries["smarthost"] = SmarthostCheck(house.settings, house.smarthost).look
    return house.smarthost


def sample_sender(house: House, store: Store) -> SampleSender:
    """Return what sends the set-up guide's email. Raises `InvalidInput` without a smarthost."""
    smarthost = smarthost_of(house)
    if smarthost is None:
        raise InvalidInput("smarthost.url is empty: say where emails go")
    return SampleSender(acceptor_of(house, store), smarthost, house.settings.hostname)
