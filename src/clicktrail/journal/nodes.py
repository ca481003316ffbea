"""Nodes that have no store say that they are there over the journal's broker (core NATS).

A publisher, which has both, writes them down and answers with all nodes. Nothing of this is kept
in the stream.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from clicktrail.base.logs import get_logger
from clicktrail.base.redact import reason_of
from clicktrail.base.tasks import end
from clicktrail.errors import ClicktrailError, JournalUnavailable
from clicktrail.journal.jetstream import JetStreamOptions, connect
from clicktrail.keys.nodes import Node, Register

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

log = get_logger(__name__)

_RETRY_SECONDS = 1.0


class _Word(msgspec.Struct):
    """What a node says: that it is there, or that it leaves."""

    node: Node | None = None
    leaves: str = ""


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
            with suppress(Exception):
                await self._client.close()


class BrokerRegister:
    """A `Register` behind the broker. Raises `JournalUnavailable` where nobody answers."""

    def __init__(self, options: JetStreamOptions) -> None:
        self._line = _Line(options)
        self._timeout = options.timeout

    async def announce(self, node: Node) -> Sequence[Node]:
        """See `Register.announce`."""
        return _decode_nodes(await self._say(_Word(node)))

    async def leave(self, name: str) -> None:
        """See `Register.leave`."""
        await self._say(_Word(leaves=name))

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()

    async def _say(self, word: _Word) -> bytes:
        from nats.errors import Error  # noqa: PLC0415

        client = await self._line.open()
        try:
            answer = await client.request(self._line.subject, _encode(word), timeout=self._timeout)
        except (Error, OSError, TimeoutError) as error:
            raise JournalUnavailable(f"no publisher answers: {reason_of(error)}") from None
        return answer.data


class Registrar:
    """Writes down in a register what nodes say over the broker; one of all publishers does."""

    def __init__(self, options: JetStreamOptions, register: Register) -> None:
        self._line = _Line(options)
        self._register = register
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
