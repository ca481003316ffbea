"""One service for the rounds of all clients."""

from collections.abc import Iterator

import pytest

from support.service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service with the settings that it has when nothing is set."""
    with Service(tmp_path_factory.mktemp("service")) as running:
        yield running
