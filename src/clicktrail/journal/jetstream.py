"""The journal as a stream of NATS JetStream: for several nodes.

Every click is a message whose ``Nats-Msg-Id`` is its event id, so that the broker drops what comes
twice. A redirect's `append` returns when the stream's replicas have it; any number of publishers
share one durable pull consumer, and what one has read and not committed comes to another after
`ACK_WAIT` seconds, or at once when it is closed.

How durable "has it" is, is the broker's: with three replicas a click is on two nodes before it is
acknowledged. A single node writes to its disk with a delay, unless ``sync_interval: always`` is in
its ``jetstream`` settings.
"""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clicktrail.base.logs import get_logger
from clicktrail.base.redact import name_and_reason
from clicktrail.base.tasks import end, hang_up
from clicktrail.errors import JournalUnavailable
from clicktrail.journal import ClicksTooLarge, Entry
from clicktrail.journal.record import decode, encode
from clicktrail.journal.undecodable import keep
from clicktrail.model import Click

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext
    from nats.js.api import StreamConfig as Stream

log = get_logger(__name__)

ACK_WAIT = 30.0
CONSUMER = "publishers"
MOST_OPEN = 20_000
"""Clicks that may be read and not committed at once, by all publishers together."""
DUPLICATE_SECONDS = 600
"""For so long the broker knows event ids; later repeats are dropped by the store."""
_MORE_SECONDS = 0.01
_RETRY_SECONDS = 0.5
_CLOSE_SECONDS = 5.0
_PING_SECONDS = 5
_MESSAGE_EXCEEDS_MAXIMUM = 10054
"""The error of JetStream for what is larger than the stream's ``max_msg_size``."""


@dataclass(frozen=True, slots=True)
class JetStreamOptions:
    """Where the stream is. ``url`` is ``nats://[user:password@]host:port[,host:port]``."""

    url: str
    stream: str = "clicktrail"
    replicas: int = 1
    timeout: float = 5.0
    """Seconds that one answer of the broker may take."""

    @property
    def servers(self) -> list[str]:
        """The servers, each as a URL."""
        scheme, _, rest = self.url.partition("://")
        login, at, hosts = rest.rpartition("@")
        return [f"{scheme}://{login}{at}{host.strip()}" for host in hosts.split(",")]


class JetStreamJournal:
    """A `Journal` in a stream, which is made on first use. It belongs to one event loop.

    It connects in the background, for ever: while the broker is away, appends and reads fail at
    once.
    """

    def __init__(self, options: JetStreamOptions, folder: Path | None = None) -> None:
        """``folder`` is where messages are kept that are no clicks."""
        self._options = options
        self._folder = folder
        self._client: Client | None = None
        self._connecting: asyncio.Task[JetStreamContext] | None = None
        self._reader: Any = None
        self._reading: asyncio.Task[None] | None = None
        self._ready: list[Entry] = []
        self._open: dict[int, Msg] = {}
        """What was read and is not committed, by position."""
        self._appending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def append(self, *clicks: Click) -> None:
        """See `Journal.append`."""
        if self._closed:
            raise JournalUnavailable("the journal is closed")
        task = asyncio.ensure_future(self._append(clicks))
        self._appending.add(task)  # `close` waits for it
        task.add_done_callback(self._appending.discard)
        await task

    async def read(self, limit: int, wait: float) -> list[Entry]:
        """See `Journal.read`."""
        if not self._ready:
            # A read that is cancelled goes on: what it is about to get is for the next one.
            reading = self._reading or asyncio.create_task(self._fill(limit, wait))
            self._reading = reading
            try:
                await asyncio.shield(reading)
            finally:
                if reading.done():
                    self._reading = None
        entries, self._ready = self._ready[:limit], self._ready[limit:]
        return entries

    async def commit(self, entries: Sequence[Entry]) -> None:
        """See `Journal.commit`."""
        from nats.errors import Error  # noqa: PLC0415

        messages = [self._open.pop(each.position, None) for each in entries]
        client = self._client
        try:
            for message in messages:
                if message is not None:
                    await message.ack()
            if client is not None and client.is_connected:
                await client.flush(math.ceil(self._options.timeout))  # the broker has read them
        except (Error, OSError) as error:
            # They come again, and the store knows their event ids.
            log.warning("clicks could not be committed", error=_text(error))

    async def close(self) -> None:
        """See `Journal.close`."""
        self._closed = True
        if self._appending:
            await asyncio.wait(self._appending, timeout=self._options.timeout)
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._give_back()
        await end(self._connecting)
        if self._client is not None:
            await hang_up(self._client, _CLOSE_SECONDS)

    async def _give_back(self) -> None:
        """Let others read at once what was read here and not committed."""
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=_CLOSE_SECONDS / 2)
            self._reading.cancel()
        if self._client is None or not self._client.is_connected:
            return
        if self._reader is not None:
            # Else what is given back may come to a request of ours that is still open.
            await self._reader.unsubscribe()
            await self._client.flush()
        for _, message in sorted(self._open.items()):
            await message.nak()
        self._open.clear()
        await self._client.flush()

    async def _fill(self, limit: int, wait: float) -> None:
        """Get clicks ready: one, if need be waited for, and those that are there beside it."""
        stream = await self._stream()
        messages = await self._fetch(stream, 1, max(wait, _MORE_SECONDS))
        if messages and limit > 1:
            messages += await self._fetch(stream, limit - 1, _MORE_SECONDS)
        by_position = {message.metadata.sequence.stream: message for message in messages}
        for position, message in sorted(by_position.items()):  # what comes again may come anyhow
            try:
                self._ready.append(Entry(position, decode(message.data)))
            except ValueError as error:
                await self._put_aside(message, str(error))
                continue
            self._open[position] = message

    async def _put_aside(self, message: "Msg", reason: str) -> None:
        """Keep a message that is no click, and only then let the broker forget it."""
        if self._folder is None:
            log.error("a message of the journal's stream is no click", reason=reason)
            return
        try:
            await asyncio.to_thread(keep, self._folder, message.data, reason)
        except OSError as error:  # it comes again
            log.error("a message that is no click cannot be kept", reason=error)
        else:
            await message.term()

    async def _append(self, clicks: Sequence[Click]) -> None:
        stream = await self._stream()
        if not clicks:
            try:
                await stream.stream_info(self._options.stream)
            except Exception as error:  # as in `_publish`
                raise self._failed("does not answer", error) from None
        if len(clicks) == 1:
            await self._publish(stream, clicks[0])
            return
        publishing = (self._publish(stream, click) for click in clicks)
        results = await asyncio.gather(*publishing, return_exceptions=True)
        too_large = [each for each in results if isinstance(each, ClicksTooLarge)]
        for result in results:
            if isinstance(result, BaseException) and result not in too_large:
                raise result
        if too_large:
            raise ClicksTooLarge([each.clicks[0] for each in too_large], str(too_large[0]))

    async def _publish(self, stream: "JetStreamContext", click: Click) -> None:
        payload = encode(click)
        size = message_size(click.event_id, payload)
        if self._client is not None and size > self._client.max_payload:
            raise ClicksTooLarge(
                [click],
                f"{size} bytes with the header; max_payload of the NATS server is"
                f" {self._client.max_payload}",
            )
        try:
            await stream.publish(
                self._subject,
                payload,
                timeout=self._options.timeout,
                headers={"Nats-Msg-Id": click.event_id},
            )
        except Exception as error:  # whatever sockets, the library and the broker have to say
            if getattr(error, "err_code", None) == _MESSAGE_EXCEEDS_MAXIMUM:
                raise ClicksTooLarge(
                    [click], f"{size} bytes; max_msg_size of {self._options.stream} is less"
                ) from None
            raise self._failed("took no click", error) from None

    async def _fetch(self, stream: "JetStreamContext", limit: int, wait: float) -> "list[Msg]":
        try:
            if self._reader is None:
                self._reader = await stream.pull_subscribe_bind(
                    consumer=CONSUMER, stream=self._options.stream
                )
            return await self._fetched(self._reader, limit, wait)
        except Exception as error:  # as in `_publish`
            raise self._failed("gave no click", error) from None

    async def _fetched(self, reader: Any, limit: int, wait: float) -> "list[Msg]":
        from nats.errors import TimeoutError as Late  # noqa: PLC0415

        try:
            found: list[Msg] = await reader.fetch(limit, timeout=wait)
        except (Late, TimeoutError):
            return []
        return found

    def _failed(self, what: str, error: Exception) -> JournalUnavailable:
        """Return the error to raise. A stream that is gone is made again, with the next call."""
        from nats.js.errors import NoStreamResponseError, NotFoundError  # noqa: PLC0415

        gone = isinstance(error, NoStreamResponseError | NotFoundError)
        if gone and self._connecting is not None and self._connecting.done():
            self._connecting = self._reader = None
        return JournalUnavailable(f"the journal's stream {what}: {_text(error)}")

    @property
    def _subject(self) -> str:
        return f"{self._options.stream}.clicks"

    async def _stream(self) -> "JetStreamContext":
        """Return the stream, connected. Raises `JournalUnavailable`."""
        if self._client is not None and self._client.is_closed:
            # nats-py 2.16.0 closes a client for good after an authorization violation, whatever
            # max_reconnect_attempts says (`Client._process_err`): another one takes its place.
            self._client = self._reader = None
            if self._connecting is not None and self._connecting.done():
                self._connecting = None
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name="connect to the journal")
        if not self._connecting.done():
            try:
                async with asyncio.timeout(self._options.timeout):
                    await asyncio.shield(self._connecting)
            except TimeoutError:
                raise JournalUnavailable("the journal's broker cannot be reached") from None
        if self._client is None or not self._client.is_connected:
            raise JournalUnavailable("the journal's broker is away")
        return self._connecting.result()

    async def _connect(self) -> "JetStreamContext":
        """Connect and make the stream and its consumer, as often as it takes."""
        told = False
        while True:
            try:
                if self._client is None or self._client.is_closed:
                    self._client = await connect(
                        self._options,
                        "clicktrail journal",
                        disconnected_cb=self._on_loss,
                        reconnected_cb=_on_return,
                    )
                stream = self._client.jetstream(timeout=self._options.timeout)
                await self._prepare(stream)
                return stream
            except Exception as error:  # as in `_publish`
                if not told:
                    log.warning("the journal's stream is not there yet", error=_text(error))
                    told = True
            await asyncio.sleep(_RETRY_SECONDS)

    async def _on_loss(self) -> None:
        if not self._closed:
            log.warning("the journal's broker is away: clicks go to the spool")

    async def _prepare(self, stream: "JetStreamContext") -> None:
        from nats.js.api import (  # noqa: PLC0415
            AckPolicy,
            ConsumerConfig,
            RetentionPolicy,
            StorageType,
            StreamConfig,
        )
        from nats.js.errors import NotFoundError  # noqa: PLC0415

        options = self._options
        try:
            config = (await stream.stream_info(options.stream)).config
            if forgets := _forgets(config):
                log.error("the journal's stream forgets clicks that it has taken", why=forgets)
        except NotFoundError:
            await stream.add_stream(
                StreamConfig(
                    name=options.stream,
                    subjects=[self._subject],
                    storage=StorageType.FILE,
                    # What is acknowledged is gone: there is one consumer, which all share.
                    retention=RetentionPolicy.WORK_QUEUE,
                    num_replicas=options.replicas,
                    duplicate_window=DUPLICATE_SECONDS,
                )
            )
        try:
            await stream.consumer_info(options.stream, CONSUMER)
        except NotFoundError:
            await stream.add_consumer(
                options.stream,
                ConsumerConfig(
                    durable_name=CONSUMER,
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=ACK_WAIT,
                    max_ack_pending=MOST_OPEN,
                ),
            )


def _forgets(config: "Stream") -> str:
    """Say why a stream that somebody made loses clicks that nobody has read; nothing if not."""
    dropping = [n for n in ("max_age", "max_msgs_per_subject") if (getattr(config, n) or 0) > 0]
    if config.discard != "new":  # which refuses those that find no room: they go to the spool
        dropping += [n for n in ("max_msgs", "max_bytes") if (getattr(config, n) or 0) > 0]
    found = ["its storage is not file"] if config.storage != "file" else []
    found += [f"its {name} drops the oldest" for name in dropping]
    return ", ".join(found)


def message_size(message_id: str, payload: bytes) -> int:
    """Return the size in bytes that a broker counts of a message with its ``Nats-Msg-Id``.

    It counts headers too (NATS protocol, ``HPUB``: total bytes). nats-py 2.16.0 counts the payload
    alone, and is closed by the broker, for good, with all that others have under way.
    """
    return len("NATS/1.0\r\nNats-Msg-Id: \r\n\r\n") + len(message_id) + len(payload)


async def connect(options: JetStreamOptions, name: str, **callbacks: Any) -> "Client":
    """Return a connection that comes back by itself. Raises what nats-py does."""
    import nats  # noqa: PLC0415 - only where it is used

    return await nats.connect(
        options.servers,
        name=name,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=_RETRY_SECONDS,
        connect_timeout=options.timeout,
        # A network that loses everything closes no connection.
        ping_interval=_PING_SECONDS,
        max_outstanding_pings=2,
        error_cb=_on_error,
        **callbacks,
    )


async def _on_error(error: Exception) -> None:
    log.debug("the journal's broker", error=_text(error))


async def _on_return() -> None:
    log.info("the journal's broker is back")


def _text(error: Exception) -> str:
    return name_and_reason(error)
