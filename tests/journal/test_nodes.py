"""The register of nodes behind a broker that is not there."""

import asyncio
from pathlib import Path

import pytest

from clicktrail.errors import JournalUnavailable
from clicktrail.journal.jetstream import JetStreamOptions
from clicktrail.journal.nodes import BrokerRegister
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
