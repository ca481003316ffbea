"""The publisher: counts clicks, notifies event destinations, and deletes what is too old."""

from importlib import import_module

from clicktrail.publish.deliver import Deliverer, Retry
from clicktrail.publish.networks import known_networks
from clicktrail.publish.privacy import Privacy
from clicktrail.publish.publisher import Publisher
from clicktrail.publish.retention import Periods, Retention
from clicktrail.publish.tidy import Tidy
from clicktrail.publish.visitor_verdict import Judge
from clicktrail.service.checks import check_authorities, check_certificate, check_credentials
from clicktrail.service.house import House
from clicktrail.service.orders import OrdersKeeper
from clicktrail.service.parts.destinations import build_destinations, check_kafka_options
from clicktrail.service.parts.journal import open_journal
from clicktrail.service.parts.store import open_store
from clicktrail.settings.settings import Settings


def check(settings: Settings) -> None:
    """See that its settings can be used. Raises `SettingError`."""
    check_certificate(settings, "nats")
    check_authorities(settings, "nats", "kafka")
    check_credentials(settings, "nats.credentials_file")


async def build(house: House) -> None:
    """Start it. Raises `ClicktrailError`."""
    settings, metrics, faults = house.settings, house.metrics, house.faults
    store = await open_store(house)
    journal = open_journal(settings, house.folder)
    house.ends.append(journal.close)
    retry = Retry(
        settings["publish.retry_first"],
        settings["publish.retry_most"],
        settings["publish.retry_for"],
    )
    check_kafka_options(settings)  # here: it starts threads, which no fork outlives
    destinations = build_destinations(settings, house.folder)
    house.ends += [each.close for each in destinations.values()]
    deliverer = Deliverer(store, destinations, retry, timeout=settings["webhook.timeout"])
    privacy = Privacy(settings["privacy.ip"], settings["privacy.user_agent"])
    networks = settings["machine.networks_file"]
    judge = Judge(*known_networks(networks))
    if networks:
        house.reloads.append(
            ("machine.networks_file", lambda: judge.know(*known_networks(networks)))
        )
    suppressing = settings["publish.suppress_unsubscribed"] == "yes"
    publisher = Publisher(
        journal, store, deliverer, privacy, metrics, judge, faults, suppressing=suppressing
    )
    await publisher.start()
    house.ends.append(publisher.stop)
    if settings["journal.url"]:
        jetstream = import_module("clicktrail.service.parts.jetstream")
        registrar = jetstream.registrar(settings, store.nodes, store.orders)
        await registrar.start()
        house.ends.append(registrar.stop)
    orders = OrdersKeeper(house.folder, store.orders)
    await orders.start()
    house.ends.append(orders.stop)
    house.tries["copy of orders"] = orders.check
    periods = Periods(
        settings["retention.messages"],
        settings["retention.clicks"],
        settings["retention.events"],
        origins=settings["retention.origins"],
    )
    for each in (Retention(store, periods), Tidy(store)):
        await each.start()
        house.ends.append(each.stop)
    house.lines.append("publisher  counts clicks and notifies")
