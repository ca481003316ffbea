"""The whole service, as a user runs it: SMTP in, Maildir out, HTTP click, command line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.service import Service
from support.ses import access_key, ses_client
from support.visitor import Visitor, account


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service for all tests; each test makes configuration sets of its own.

    Anybody may send: the identities of one test must not keep the others from it.
    """
    folder = tmp_path_factory.mktemp("service")
    with Service(folder, "--identities-required", "no") as running:
        yield running


@pytest.fixture(scope="session")
def admin(service: Service) -> Iterator[Visitor]:
    """An administrator of the shared service, who has signed in to its console."""
    with Visitor(service) as visitor:
        token = account(service, "test administrator", "administrator")
        assert visitor.welcome(token).status_code == 303
        yield visitor


@pytest.fixture(scope="session")
def viewer(service: Service) -> Iterator[Visitor]:
    """Somebody who has signed in and may look only."""
    with Visitor(service) as visitor:
        assert visitor.welcome(account(service, "test viewer")).status_code == 303
        yield visitor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="module")
def key(service: Service) -> tuple[str, str]:
    """An access key of the shared service, and its secret."""
    return access_key(service, "send", "manage")


@pytest.fixture
def ses(service: Service, key: tuple[str, str]) -> Iterator[Any]:
    """A client of boto3 that may send and manage."""
    client = ses_client(service, key)
    yield client
    client.close()


@pytest.fixture
def signing(service: Service) -> tuple[str, dict[str, Any]]:
    """An identity that signs, and its DNS record."""
    name = f"dkim-{service.configuration_set(stream=False)}.example"
    service.cli("identity", "create", name)
    service.cli("identity", "dkim", "generate", name, "--bits", "1024")
    return name, json.loads(service.cli("identity", "dkim", "show", name, "--json"))
