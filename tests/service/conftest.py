"""The whole service, as a user runs it: SMTP in, Maildir out, HTTP click, command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service for all tests; each test makes configuration sets of its own.

    Anybody may send: the identities of one test must not keep the others from it.
    """
    folder = tmp_path_factory.mktemp("service")
    with Service(folder, "--identities-required", "no") as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
