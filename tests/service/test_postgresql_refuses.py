"""A PostgreSQL that is there and refuses: for reading only, without a login, full, emptied."""

import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.test_faults_disk import problems_of
from support.crowd import Crowd, check_books
from support.postgres import NEEDS_POSTGRES, Postgres
from support.service import Service, email_with, wait_for

pytestmark = [NEEDS_POSTGRES, pytest.mark.long]

OWNER = "shop"


@dataclass(frozen=True)
class Refusal:
    """What is done to the database {name}, how it is undone, and what is told of it meanwhile."""

    begin: str
    end: str
    told: str


REFUSALS = {
    "read-only": Refusal(
        "ALTER DATABASE {name} SET default_transaction_read_only = on",
        "ALTER DATABASE {name} RESET default_transaction_read_only",
        "it is for reading only",
    ),
    "no login": Refusal(
        f"ALTER ROLE {OWNER} NOLOGIN",
        f"ALTER ROLE {OWNER} LOGIN",
        "is not permitted to log in",
    ),
    "full": Refusal(
        f"ALTER ROLE {OWNER} CONNECTION LIMIT 0",
        f"ALTER ROLE {OWNER} CONNECTION LIMIT -1",
        "too many connections",
    ),
}


@pytest.fixture
def server() -> Iterator[Postgres]:
    with Postgres() as running:
        running.sql(f"CREATE ROLE {OWNER} LOGIN")
        yield running


@pytest.fixture
def name(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database of the service, which its owner uses."""
    made = server.fresh()
    server.sql(f"ALTER DATABASE {made} OWNER TO {OWNER}")
    url = server.url(made).replace("postgres@", f"{OWNER}@")
    monkeypatch.setenv("CLICKTRAIL_STORE_URL", url)
    return made


def end_connections(server: Postgres, name: str) -> None:
    server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_what_it_refuses_is_told_and_nothing_is_lost(
    server: Postgres, name: str, tmp_path: Path, refusal: Refusal
) -> None:
    with Service(tmp_path, "--identities-required", "no", embedded=False) as service:
        made = service.configuration_set()
        with Crowd(service, made, people=8, rate=50) as crowd:
            crowd.wait_for(50)
            server.sql(refusal.begin.format(name=name))
            end_connections(server, name)
            wait_for(lambda: refusal.told in str(problems_of(service)) or None, "the reason")
            with pytest.raises(smtplib.SMTPException) as refused:
                service.send(email_with("x", made))
            assert "451" in str(refused.value)
            crowd.wait_for(100)
            server.sql(refusal.end.format(name=name))
            end_connections(server, name)
            wait_for(lambda: problems_of(service) == {} or None, "readiness")
            crowd.wait_for(50)
        check_books(service, made, crowd)
        assert service.stop() == 0


def test_a_database_that_is_exchanged_for_an_empty_one_is_told(
    server: Postgres, name: str, tmp_path: Path
) -> None:
    with Service(tmp_path, "--identities-required", "no", embedded=False) as service:
        made = service.configuration_set()
        with Crowd(service, made, people=8, rate=50) as crowd:
            crowd.wait_for(20)
            server.sql(f"DROP DATABASE {name} WITH (FORCE)")
            server.sql(f"CREATE DATABASE {name} OWNER {OWNER}")
            gone = "its tables are gone"
            wait_for(lambda: gone in problems_of(service).get("store", "") or None, "the reason")
            with pytest.raises(smtplib.SMTPException) as refused:
                service.send(email_with("x", made))
            assert "451" in str(refused.value)
            crowd.wait_for(50)
        assert crowd.redirected == crowd.tried
