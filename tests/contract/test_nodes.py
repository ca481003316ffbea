"""The register of nodes, in SQLite and PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from clicktrail.base.ids import now_us
from clicktrail.errors import NotFound
from clicktrail.keys.nodes import Node
from clicktrail.store import Store


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()


def node(name: str, *keys: int) -> Node:
    marks = {key: f"mark{key}" for key in keys}
    return Node(name, ("smtp", "api"), "1.0", marks, max(keys), 0)


async def test_a_node_is_there_until_it_leaves(store: Store) -> None:
    before = now_us()
    await store.nodes.announce(node("b", 1))
    found = await store.nodes.announce(node("a", 1, 2))
    assert [(each.name, each.roles, each.keys, each.seals) for each in found] == [
        ("a", ("smtp", "api"), {1: "mark1", 2: "mark2"}, 2),
        ("b", ("smtp", "api"), {1: "mark1"}, 1),
    ]
    assert all(before <= each.seen_at <= now_us() for each in found)
    await store.nodes.announce(node("b", 1, 2))
    assert [each.keys.keys() for each in await store.nodes.list()] == [{1, 2}, {1, 2}]
    await store.nodes.leave("a")
    await store.nodes.leave("a")
    assert [each.name for each in await store.nodes.list()] == ["b"]


async def test_only_a_node_that_is_known_is_forgotten(store: Store) -> None:
    await store.nodes.announce(node("a b/c é", 1))
    await store.nodes.forget("a b/c é")
    assert await store.nodes.list() == []
    with pytest.raises(NotFound, match="clicktrail nodes list"):
        await store.nodes.forget("a b/c é")
