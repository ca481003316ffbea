"""Nodes that have no store say that they are there over the journal's broker (core NATS).

A publisher, which has both, writes them down and answers with all nodes, and tells them of orders.
Nothing of this is kept in the stream.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from clicktrail.base.logs import get_logger
from clicktrail.base.redact import reason_of
from clicktrail.base.tasks import end, hang_up
from clicktrail.errors import ClicktrailError, JournalUnavailable
from clicktrail.journal.jetstream import JetStreamOptions, connect
from clicktrail.keys.nodes import Node, Register
from clicktrail.keys.orders import OrderSource, decode, encode
from clicktrail.model import Orders

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

log = get_logger(__name__)

_RETRY_SECONDS = 1.0
_CLOSE_SECONDS = 5.0
_PIECE = 512 * 1024
"""Bytes of orders in one answer: a broker takes messages of 1 MB (NATS ``max_payload``)."""


class _Word(msgspec.Struct):
    """What a node says: that it is there, or that it leaves."""

    node: Node | None = None
    leaves: str = ""


class _Question(msgspec.Struct):
    """What a node asks of orders: a piece of what is newer than it knows."""

    known: str
    piece: int = 0
    version: str = ""
    """The version that further pieces are of."""


class _Piece(msgspec.Struct):
    """A piece of orders; of no version where nothing is newer. ``pieces`` is how many there are."""

    version: str = ""
    pieces: int = 0
    data: bytes = b""


_decode_question = msgspec.json.Decoder(_Question).decode
_decode_piece = msgspec.msgpack.Decoder(_Piece).decode
_encode_piece = msgspec.msgpack.encode
_decode_word = msgspec.json.Decoder(_Word).decode
_decode_nodes = msgspec.json.Decoder(list[Node]).decode
_encode = msgspec.json.encode


class _Line:
    """A connection to the broker, which is made in the background and comes back by itself."""

    def __init__(self, options: JetStreamOptions) -> None:
        self._options = options
        self._client: Client | None = None
        self._connecting: asyncio.Task[Client] | None = None
        self.subject = f"clicktrail-nodes.{options.stream}"
        self.orders = f"clicktrail-orders.{options.stream}"

    async def open(self) -> "Client":
        """Return the connection. Raises `JournalUnavailable`."""
        from nats.errors import Error  # noqa: PLC0415 - only where it is used

        if self._client is not None and not self._client.is_closed:
            return self._client  # if it is closed, see `JetStreamJournal._stream`
        # nats-py tries for as long as it takes; who asks does not wait for that.
        connecting = self._connecting or asyncio.create_task(
            connect(self._options, "clicktrail nodes"), name="connect to the register"
        )
        self._connecting = connecting
        try:
            async with asyncio.timeout(self._options.timeout):
                self._client = await asyncio.shield(connecting)
        except (Error, OSError, TimeoutError) as error:
            raise JournalUnavailable(f"the broker cannot be reached: {reason_of(error)}") from None
        finally:
            if connecting.done():
                self._connecting = None
        return self._client

    async def close(self) -> None:
        """Close the connection."""
        await end(self._connecting)
        if self._client is not None:
            await hang_up(self._client, _CLOSE_SECONDS)


class BrokerRegister:
    """A `Register`, and an `OrderSource`, behind the broker.

    Raises `JournalUnavailable` where nobody answers.
    """

    def __init__(self, options: JetStreamOptions) -> None:
        self._line = _Line(options)
        self._timeout = options.timeout

    async def announce(self, node: Node) -> Sequence[Node]:
        """See `Register.announce`."""
        return _decode_nodes(await self._say(_Word(node)))

    async def leave(self, name: str) -> None:
        """See `Register.leave`."""
        await self._say(_Word(leaves=name))

    async def newer(self, known: str) -> Orders | None:
        """See `OrderSource.newer`."""
        first = await self._ask(_Question(known))
        if not first.pieces:
            return None
        data = [first.data]
        while len(data) < first.pieces:
            piece = await self._ask(_Question(known, len(data), first.version))
            if piece.version != first.version:
                raise JournalUnavailable("orders changed while they were told")
            data.append(piece.data)
        return decode(b"".join(data))

    async def _ask(self, question: _Question) -> _Piece:
        answer = await self._request(self._line.orders, _encode(question))
        try:
            return _decode_piece(answer)
        except msgspec.MsgspecError:
            raise JournalUnavailable("a publisher of another version answers") from None

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()

    async def _say(self, word: _Word) -> bytes:
        return await self._request(self._line.subject, _encode(word))

    async def _request(self, subject: str, data: bytes) -> bytes:
        from nats.errors import Error  # noqa: PLC0415

        client = await self._line.open()
        try:
            answer = await client.request(subject, data, timeout=self._timeout)
        except (Error, OSError, TimeoutError) as error:
            raise JournalUnavailable(f"no publisher answers: {reason_of(error)}") from None
        return answer.data


class Registrar:
    """Writes down in a register what nodes say over the broker; one of all publishers does.

    It tells them what is ordered, too.
    """

    def __init__(self, options: JetStreamOptions, register: Register, orders: OrderSource) -> None:
        self._line = _Line(options)
        self._register = register
        self._orders = orders
        self._told = ("", ""), b""
        """What was told last: the version that was known, the one that is new; and its bytes."""
        self._opening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin in the background, as soon as the broker is there."""
        self._opening = asyncio.create_task(self._open(), name="listen for nodes")

    async def stop(self) -> None:
        """End."""
        await end(self._opening)
        await self._line.close()

    async def _open(self) -> None:
        from nats.errors import Error  # noqa: PLC0415

        listening = None
        while True:
            with suppress(JournalUnavailable, Error, OSError):
                client = await self._line.open()
                if client is not listening:
                    await client.subscribe(self._line.subject, "publishers", cb=self._answer)
                    await client.subscribe(self._line.orders, "publishers", cb=self._tell)
                    listening = client
            await asyncio.sleep(_RETRY_SECONDS)

    async def _answer(self, message: "Msg") -> None:
        try:
            word = _decode_word(message.data)
            if word.node is not None:
                await message.respond(_encode(await self._register.announce(word.node)))
            else:
                await self._register.leave(word.leaves)
                await message.respond(b"[]")
        except (ClicktrailError, msgspec.MsgspecError) as error:
            log.warning("a node could not be written down", error=error)

    async def _tell(self, message: "Msg") -> None:
        try:
            await message.respond(_encode_piece(await self._piece(_decode_question(message.data))))
        except (ClicktrailError, msgspec.MsgspecError) as error:
            log.warning("a node could not be told of orders", error=error)

    async def _piece(self, asked: _Question) -> _Piece:
        if not asked.piece or (asked.known, asked.version) != self._told[0]:
            orders = await self._orders.newer(asked.known)
            if orders is None:
                return _Piece()
            self._told = (asked.known, orders.version), encode(orders)
        (_, version), data = self._told
        start = asked.piece * _PIECE
        return _Piece(version, -(-len(data) // _PIECE), data[start : start + _PIECE])
