"""Certificates in the store, in SQLite and PostgreSQL: whose turn it is, and what is kept."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from clicktrail.base.ids import now_us
from clicktrail.service.condition import complaints
from clicktrail.store import Store
from clicktrail.store.certificates import CertificateStore, Challenge, Health, State

NAME, DIRECTORY = "click.example.com", "https://authority.example/directory"


@pytest.fixture
async def kept(store_url: str) -> AsyncIterator[CertificateStore]:
    opened = await Store.open(store_url)
    yield opened.certificates
    await opened.close()


async def test_one_holder_at_a_time(kept: CertificateStore) -> None:
    asked = [kept.take(NAME, f"holder {number}", 60) for number in range(10)]
    found = [each for each in await asyncio.gather(*asked) if each is not None]
    assert [each.name for each in found] == [NAME]
    assert await kept.due([NAME, "other.example.com"], DIRECTORY) == ["other.example.com"]


async def test_a_name_is_let_go_by_its_holder_alone(kept: CertificateStore) -> None:
    state = await kept.take(NAME, "first", 0)
    assert state is not None
    assert await kept.take(NAME, "second", 60) is not None
    await kept.fail(state, "first", 1, DIRECTORY, "too late")
    await kept.put_off(state, "first", 1, 1)
    assert [each.problem for each in await kept.states()] == [""]
    assert await kept.due([NAME], DIRECTORY) == []


async def test_a_certificate_is_kept_and_due_again(kept: CertificateStore) -> None:
    before = now_us()
    state = await kept.take(NAME, "holder", 60)
    assert state is not None
    later = before + 10**12
    await kept.fail(state, "holder", later, DIRECTORY, "nobody\0there")
    [failed] = await kept.states()
    assert (failed.failures, failed.problem) == (1, "nobody\ufffdthere")
    assert await kept.due([NAME], DIRECTORY) == []
    assert await kept.due([NAME], "https://other.example/") == [NAME]
    assert await kept.issued_since(0) == []
    await kept.keep(NAME, "chain", b"sealed", DIRECTORY, (later + 2, later + 1, later))
    [found] = await kept.issued_since(before)
    assert (found.name, found.chain, found.sealed, found.expires_at) == (
        (NAME, "chain", b"sealed", later + 2)
    )
    assert await kept.issued_since(now_us() + 1) == []
    assert await kept.chain(NAME) == "chain"
    assert await kept.chain("other.example.com") == ""
    [state] = await kept.states()
    assert (state.failures, state.problem, state.renew_at) == (0, "", later + 1)
    # Another authority cannot issue: what is there stays, and is to be renewed there.
    await kept.fail(state, "", 1, "https://other.example/", "no")
    [state] = await kept.states()
    assert (state.directory, state.renew_at) == ("https://other.example/", 0)
    assert [each.chain for each in await kept.issued_since(0)] == ["chain"]


async def test_the_first_account_key_is_the_one(kept: CertificateStore) -> None:
    assert await kept.account(DIRECTORY) is None
    await asyncio.gather(*(kept.begin_account(DIRECTORY, b"%d" % each) for each in range(5)))
    account = await kept.account(DIRECTORY)
    assert account is not None
    await kept.begin_account(DIRECTORY, b"another")
    await kept.set_account(DIRECTORY, "https://authority.example/1")
    await kept.pause(DIRECTORY, 5)
    after = await kept.account(DIRECTORY)
    assert after is not None
    assert (after.sealed, after.url, after.paused_until) == (
        (account.sealed, "https://authority.example/1", 5)
    )


async def test_challenges_are_answered_until_they_end(kept: CertificateStore) -> None:
    first = Challenge(NAME, "http-01", "token", "token.thumb")
    second = Challenge(NAME, "tls-alpn-01", "token2", "token2.thumb")
    state = await kept.take(NAME, "holder", 60)
    assert state is not None
    await kept.challenge(first)
    assert await kept.challenges() == [first]
    await kept.challenge(second)
    assert await kept.challenges() == [second]
    await kept.put_off(state, "another", 1, 1)
    assert await kept.challenges() == [second]
    await kept.put_off(state, "holder", 1, 1)
    assert await kept.challenges() == []


@pytest.mark.parametrize(
    ("at", "health"),
    [
        *((10, Health.VALID), (60, Health.VALID), (74, Health.VALID)),
        *((76, Health.EXPIRING), (90, Health.EXPIRED), (1000, Health.EXPIRED)),
    ],
)
def test_how_a_certificate_is(at: int, health: Health) -> None:
    assert State(NAME, DIRECTORY, 90, 60, 60, 0, "").health(at) is health


async def test_names_that_nobody_has_looked_at_are_missing(kept: CertificateStore) -> None:
    await kept.take("b.example.com", "holder", 60)
    await kept.take("old.example.com", "holder", 60)
    found = await kept.states(["b.example.com", "a.example.com"])
    assert [(each.name, each.health(1)) for each in found] == [
        ("a.example.com", Health.MISSING),
        ("b.example.com", Health.MISSING),
    ]
    assert len(await kept.states()) == 2


def test_what_is_wrong_is_a_sentence_each() -> None:
    now = now_us()
    fine = State("fine.example.com", DIRECTORY, now + 9 * 10**12, now + 6 * 10**12, 0, 0, "")
    gone = State("gone.example.com", DIRECTORY, now - 1, now - 30, now + 60, 3, "it leads away")
    none = State("none.example.com", "", 0, 0, 0, 0, "")
    assert complaints([fine, gone, none]) == [
        "gone.example.com has a certificate that has expired: it leads away",
        "none.example.com has no certificate",
    ]
