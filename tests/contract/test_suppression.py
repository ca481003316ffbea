"""What the suppression list of every store does."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update

from clicktrail.errors import InvalidInput, NotFound
from clicktrail.store import Store
from clicktrail.store.people.suppression import SuppressionReason
from clicktrail.store.tables import suppressed_destinations as suppressed

BOUNCE, COMPLAINT, UNSUBSCRIBE = SuppressionReason


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()


async def test_an_address_is_found_however_it_is_written(store: Store) -> None:
    await store.suppression.put("Anna.Ott@Bücher.example", BOUNCE)
    spellings = (
        "anna.ott@bücher.example",
        "ANNA.OTT@xn--bcher-kva.example",
        "<anna.ott@XN--BCHER-KVA.EXAMPLE>",
        '"anna.ott"@bücher.example.',
    )
    assert await store.suppression.among(spellings) == dict.fromkeys(spellings, BOUNCE)
    for other in ("anna@bücher.example", "anna.ott@example", "", "@", "\udcff@x", "a" * 5000):
        assert await store.suppression.among([other]) == {}
    found = await store.suppression.get("anna.OTT@bücher.example")
    assert found.address == "anna.ott@xn--bcher-kva.example"


async def test_all_that_is_asked_at_once_is_answered(store: Store) -> None:
    names = [f"n{number}@example.com" for number in range(1200)]
    await store.suppression.put_many([(name, COMPLAINT) for name in names[::2]])
    assert list(await store.suppression.among(names)) == names[::2]


async def test_the_last_reason_counts_and_removing_ends_it(store: Store) -> None:
    await store.suppression.put("a@example.com", BOUNCE)
    first = await store.suppression.get("a@example.com")
    await store.suppression.put("A@example.com", UNSUBSCRIBE)
    again = await store.suppression.get("a@example.com")
    assert again.reason is UNSUBSCRIBE
    assert again.updated_at >= first.updated_at
    await store.suppression.remove("a@EXAMPLE.com")
    assert await store.suppression.among(["a@example.com"]) == {}
    for call in (store.suppression.get, store.suppression.remove):
        with pytest.raises(NotFound, match=r"'a@example\.com' is not on"):
            await call("a@example.com")


async def test_pages_hold_each_once_and_are_narrowed(store: Store) -> None:
    reasons = dict(zip("dbaec", [BOUNCE, COMPLAINT] * 3, strict=False))
    for name, reason in reasons.items():
        await store.suppression.put(f"{name}@example.com", reason)
    first = await store.suppression.page(limit=3)
    rest = await store.suppression.page(first[-1].address)
    assert [each.address[0] for each in (*first, *rest)] == sorted(reasons)
    bounced = await store.suppression.page(reasons=[BOUNCE])
    assert [each.address[0] for each in bounced] == ["a", "c", "d"]
    at = (await store.suppression.get("a@example.com")).updated_at
    assert {each.address[0] for each in await store.suppression.page(since=at)} == set("aec")
    assert {each.address[0] for each in await store.suppression.page(until=at)} == set("dba")


async def test_others_learn_of_the_first_entry_and_only_of_that(store: Store) -> None:
    before = await store.configuration.current()
    assert not before.suppresses
    await store.suppression.put("a@example.com", BOUNCE)
    first = await store.configuration.current()
    assert first.suppresses
    await store.suppression.put("b@example.com", BOUNCE)
    assert (await store.configuration.current()).version == first.version


async def test_who_is_erased_stays_on_the_list_and_cannot_be_read(store: Store) -> None:
    await store.suppression.put("Anna@Example.com", UNSUBSCRIBE)
    assert (await store.forget_person("anna@example.com")).suppressed == 1
    assert (await store.forget_person("anna@example.com")).suppressed == 0
    assert await store.suppression.page() == []
    assert await store.suppression.among(["anna@example.com"]) == {"anna@example.com": UNSUBSCRIBE}
    await store.suppression.remove("anna@example.com")
    assert await store.suppression.among(["anna@example.com"]) == {}


@pytest.mark.parametrize(
    "text",
    ["", "anna", "@example.com", "a b@example.com", "a@", "a@b c", "a@[\0]", "a\udcff@b.example"],
)
async def test_what_is_no_address_is_refused_by_name(store: Store, text: str) -> None:
    with pytest.raises(InvalidInput, match="is not an address"):
        await store.suppression.put(text, BOUNCE)


@pytest.mark.parametrize("harm", ["odd", ""])
async def test_a_damaged_reason_lets_no_email_through_and_holds_up_no_other(
    store: Store, harm: str
) -> None:
    for name, reason in (("a@example.com", BOUNCE), ("b@example.com", UNSUBSCRIBE)):
        await store.suppression.put(name, reason)
    first = suppressed.c.address == "a@example.com"
    change = update(suppressed).where(first).values(reason=harm)
    await store._database.write(lambda connection: connection.execute(change))
    asked = ["a@example.com", "b@example.com", "c@example.com"]
    expected = {"a@example.com": COMPLAINT, "b@example.com": UNSUBSCRIBE}
    assert await store.suppression.among(asked) == expected
    assert [each.reason for each in await store.suppression.page()] == [*expected.values()]
