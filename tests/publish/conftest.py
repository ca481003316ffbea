"""A store in a file, a journal in memory, and a publisher between them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clicktrail.journal.memory import MemoryJournal
from clicktrail.store import Store
from support.publishing import House, Receiver


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    url = f"sqlite:///{tmp_path / 'clicktrail.db'}"
    store = await Store.open(url)
    yield House(url, store, MemoryJournal(), Receiver())
    await store.close()
