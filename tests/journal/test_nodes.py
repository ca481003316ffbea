"""The register of nodes behind a broker that is not there."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from clicktrail.errors import JournalUnavailable
from clicktrail.journal.jetstream import JetStreamOptions
from clicktrail.journal.nodes import BrokerRegister, Registrar
from clicktrail.keys.nodes import Node
from clicktrail.model import LinkChange, Orders
from support.service import PATIENCE
from support.stream_servers import Nats


async def test_a_node_that_leaves_does_not_wait_for_a_broker_for_ever(
    tmp_path: Path, port: int
) -> None:
    register = BrokerRegister(JetStreamOptions(f"nats://127.0.0.1:{port}", timeout=0.2))
    async with asyncio.timeout(PATIENCE):
        for _ in range(2):
            with pytest.raises(JournalUnavailable, match="the broker cannot be reached"):
                await register.leave("me")
        with Nats(tmp_path, port=port):
            while True:  # the connection is still being made; then it is the publisher who is not
                with pytest.raises(JournalUnavailable) as raised:
                    await register.leave("me")
                if "no publisher answers" in str(raised.value):
                    break
        await register.close()


async def test_closing_ends_the_attempts_to_connect(port: int) -> None:
    register = BrokerRegister(JetStreamOptions(f"nats://127.0.0.1:{port}", timeout=0.2))
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(JournalUnavailable):
            await register.leave("me")
        await register.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Told:
    """A publisher's side: what is ordered, and a register of no nodes."""

    def __init__(self) -> None:
        self.orders = Orders("1")

    async def newer(self, known: str) -> Orders | None:
        return None if known == self.orders.version else self.orders

    async def announce(self, node: Node) -> Sequence[Node]:
        return ()

    async def leave(self, name: str) -> None:
        pass


async def test_orders_of_any_size_come_over_the_broker(tmp_path: Path) -> None:
    told = Told()
    with Nats(tmp_path) as broker:
        options = JetStreamOptions(f"nats://{broker.address}", timeout=5.0)
        registrar, node = Registrar(options, told, told), BrokerRegister(options)
        await registrar.start()
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    assert await node.newer("") == told.orders
                    break
                except JournalUnavailable:
                    await asyncio.sleep(0.05)
            assert await node.newer("1") is None
            many = (LinkChange(str(n), "https://a.example/" + "x" * 3000, None) for n in range(900))
            told.orders = Orders("2", tuple(many))  # nearly 3 MB: a broker takes messages of one
            assert await node.newer("1") == told.orders
            assert await node.newer("2") is None
        await node.close()
        await registrar.stop()
