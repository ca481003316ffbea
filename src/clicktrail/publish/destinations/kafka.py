"""Apache Kafka, and what speaks its protocol: ``arn:clicktrail:kafka:::SERVERS/TOPIC``.

An event is a record: its key the email's id, so that the events of an email stay on one
partition, a header ``event-id``, its value the JSON. The producer is idempotent and waits for all
replicas in sync (``acks=all``); an event counts as sent when the broker's report of it is there.
"""

# ruff: noqa: PLC0415 - librdkafka takes 11 MB: only where such a destination is in use

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clicktrail.base.arn import Arn, Kind, missing_extra
from clicktrail.base.redact import reason_of, redact
from clicktrail.errors import DeliveryFailed, SettingError
from clicktrail.publish.destinations import Event, need
from clicktrail.publish.destinations.servers import Servers

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

BATCH = 500
PORT = 9092
_VAGUE = {"_MSG_TIMED_OUT", "_TRANSPORT", "_PURGE_QUEUE"}
_OUTLIVED = {
    "PRODUCER_FENCED",
    "_FENCED",
    "INVALID_PRODUCER_EPOCH",
    "INVALID_PRODUCER_ID_MAPPING",
    "UNKNOWN_PRODUCER_ID",
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
}
"""Errors of a producer whose numbering a broker knows no more, as after its restart. Not all are
fatal to librdkafka, and it does not get over them; a new producer does."""
_POLL_SECONDS = 0.5
_QUEUE_KIB = 64 * 1024
_REPORT, _WAIT = 0.7, 0.9
"""Parts of the timeout after which librdkafka gives an event up, and its report is not waited for
any more: so what is wrong is told in time. librdkafka looks at the time once a second."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How brokers are called.

    ``servers`` may be named in ARNs. ``options`` are librdkafka's (CONFIGURATION.md there): they
    may replace any but those on which durability rests. ``timeout`` is in seconds.
    """

    servers: Sequence[str]
    options: Mapping[str, str] = field(repr=False)
    timeout: float = 10.0


def kafka_settings(
    servers: Sequence[str],
    security_protocol: str,
    mechanism: str,
    username: str,
    password: str,
    ca: Path | None,
    options_file: Path | None,
    timeout: float,
) -> KafkaSettings:
    """Return how brokers are called. Raises `SettingError` for a file that cannot be used."""
    options = {"security.protocol": security_protocol}
    if security_protocol.startswith("sasl"):
        options |= {"sasl.mechanism": mechanism}
        options |= {"sasl.username": username, "sasl.password": password}
    if ca is not None:
        options["ssl.ca.location"] = str(ca)
    if options_file is not None:
        options |= _read_options(options_file)
    return KafkaSettings(servers, options, timeout)


def _read_options(path: Path) -> dict[str, str]:
    options: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"kafka.options_file = {str(path)!r} cannot be read: {reason_of(error)}"
        ) from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise SettingError(
                f"kafka.options_file: {path}, line {number}: expected name=value, such as"
                " ssl.certificate.location=/etc/clicktrail/kafka.pem"
            )
        options[name.strip()] = value.strip()
    return options


def check_options(settings: KafkaSettings, path: Path) -> None:
    """See that librdkafka takes the options of a file, where it is there. Raises `SettingError`."""
    if missing_extra(Kind.KAFKA):
        return  # who sends something there is told
    from confluent_kafka import KafkaException, Producer

    try:
        Producer({"log_level": 0, **settings.options}).flush(0)  # it knows no server
    except (KafkaException, ValueError, TypeError) as error:
        what = error.args[0]
        why = what.str() if isinstance(error, KafkaException) else what
        raise SettingError(
            f"kafka.options_file = {str(path)!r} cannot be used: {redact(str(why))}"
        ) from None


class KafkaDestination:
    """Produces events to topics; one producer, with a thread of its own, for each cluster."""

    batch = BATCH

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._servers = Servers("kafka.servers", settings.servers, PORT)
        self._clusters: dict[tuple[str, ...], _Cluster] = {}

    async def send_many(self, arn: Arn, events: Sequence[Event]) -> list[DeliveryFailed | None]:
        """See `BatchDestination.send_many`."""
        need(Kind.KAFKA)
        servers = self._servers.of(arn)
        cluster = self._clusters.get(servers)
        if cluster is None or cluster.broken:
            if cluster is not None:
                cluster.stop()
            cluster = self._clusters[servers] = _Cluster(servers, self._settings)
        return await cluster.send(arn.name, events)

    async def close(self) -> None:
        """See `BatchDestination.close`."""
        for cluster in self._clusters.values():
            cluster.stop()
        for cluster in self._clusters.values():
            await asyncio.to_thread(cluster.join)


class _Cluster:
    """A producer, and the thread in which its reports arrive."""

    def __init__(self, servers: Sequence[str], settings: KafkaSettings) -> None:
        from confluent_kafka import KafkaException, Producer

        self.broken = False
        self._trouble = ""
        self._stopping = False
        self._timeout = settings.timeout * _WAIT
        options: dict[str, Any] = {
            "client.id": "clicktrail",
            "log_level": 0,  # what is wrong stands in the destination's last error
            "linger.ms": 5,
            "queue.buffering.max.kbytes": _QUEUE_KIB,
            "reconnect.backoff.max.ms": 1000,
            **settings.options,
            "bootstrap.servers": ",".join(servers),
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": int(settings.timeout * _REPORT * 1000),
            "error_cb": self._on_error,
        }
        try:
            self._producer = Producer(options)
        except (KafkaException, ValueError, TypeError) as error:
            raise DeliveryFailed(f"the Kafka settings cannot be used: {error.args[0]}") from None
        self._thread = threading.Thread(target=self._poll, name="kafka reports", daemon=True)
        self._thread.start()

    async def send(self, topic: str, events: Sequence[Event]) -> list[DeliveryFailed | None]:
        """Produce events and wait for their reports."""
        from confluent_kafka import KafkaException

        reports = _Reports(len(events))
        for place, event in enumerate(events):
            try:
                self._producer.produce(
                    topic,
                    event.payload,
                    event.message_id,
                    headers=[("event-id", event.id.encode())],
                    on_delivery=reports.taker(place),
                )
            except BufferError:
                reports.take(place, DeliveryFailed("too much waits for the brokers already"))
            except KafkaException as error:
                reports.take(place, self._failure(error.args[0]))
        try:
            async with asyncio.timeout(self._timeout):
                outcomes = await reports.all()
        except TimeoutError:
            raise DeliveryFailed(
                f"no report within {self._timeout:g} seconds{self._why()}"
            ) from None
        if any(each is None for each in outcomes):  # `in` compares, which a KafkaError cannot
            self._trouble = ""
        return [
            e if e is None or isinstance(e, DeliveryFailed) else self._failure(e) for e in outcomes
        ]

    def stop(self) -> None:
        """Send nothing more."""
        self._stopping = True

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _poll(self) -> None:
        while not self._stopping:
            self._producer.poll(_POLL_SECONDS)
        self._producer.purge()  # what has no report is still in the outbox
        self._producer.poll(0)

    def _failure(self, error: "KafkaError") -> DeliveryFailed:
        self.broken = self.broken or error.fatal() or error.name() in _OUTLIVED
        text = f"{error.name()}: {error.str()}"
        if error.name() in _VAGUE:
            text += self._why()
        return DeliveryFailed(text, permanent=error.name() == "MSG_SIZE_TOO_LARGE")

    def _why(self) -> str:
        return f" ({self._trouble})" if self._trouble else ""

    def _on_error(self, error: "KafkaError") -> None:
        """Keep what is wrong with the connections: reports only say that time has run out."""
        if error.name() != "_ALL_BROKERS_DOWN":
            self._trouble = error.str()
        self.broken = self.broken or error.fatal()


class _Reports:
    """What becomes of each event of a batch. Reports come in from the producer's thread."""

    def __init__(self, count: int) -> None:
        self._outcomes: list[KafkaError | DeliveryFailed | None] = [None] * count
        self._left = count
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._complete = asyncio.Event()

    def taker(self, place: int) -> "Callable[[KafkaError | None, Message], None]":
        """Return what takes the report of the event at that place."""
        return lambda error, _: self.take(place, error)

    def take(self, place: int, outcome: "KafkaError | DeliveryFailed | None") -> None:
        """Note how one event fared."""
        self._outcomes[place] = outcome
        with self._lock:
            self._left -= 1
            complete = not self._left
        if complete:
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._complete.set)

    async def all(self) -> "list[KafkaError | DeliveryFailed | None]":
        """Return the outcomes when all are there."""
        await self._complete.wait()
        return self._outcomes
