"""Nodes that order certificates from Pebble, in this process."""

from pathlib import Path

import pytest

from clicktrail.store import Store
from support.ordering import Town


@pytest.fixture
def town(tmp_path: Path, store: Store) -> Town:
    """Nodes to come, which share a store."""
    return Town(tmp_path, store)
