"""The journal on NATS JetStream, and the register of nodes on its broker: only where it is used."""

from pathlib import Path

from clicktrail.journal.jetstream import JetStreamJournal, JetStreamOptions
from clicktrail.journal.nodes import BrokerRegister, Registrar
from clicktrail.keys.nodes import Register
from clicktrail.keys.orders import OrderSource
from clicktrail.settings.settings import Settings


def stream_options(settings: Settings) -> JetStreamOptions:
    """Return where the journal's stream is."""
    return JetStreamOptions(
        settings["journal.url"], settings["journal.stream"], settings["journal.replicas"]
    )


def open_stream(settings: Settings, undecodable: Path) -> JetStreamJournal:
    """Return the journal on the broker; what is no click is kept in the folder ``undecodable``."""
    return JetStreamJournal(stream_options(settings), undecodable)


def broker_register(settings: Settings) -> BrokerRegister:
    """Return the register of nodes that have no store."""
    return BrokerRegister(stream_options(settings))


def registrar(settings: Settings, nodes: Register, orders: OrderSource) -> Registrar:
    """Return what keeps the register of nodes that have no store, and tells them of orders."""
    return Registrar(stream_options(settings), nodes, orders)
