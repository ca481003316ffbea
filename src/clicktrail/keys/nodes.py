"""What the nodes of one installation must know of each other's keys. No I/O.

A link that one node seals is opened by any other. So a key seals new links only when every node
can open it, and a node whose key ring does not go with the others' says so.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from clicktrail.keys.token import KeyRing

EVERY_SECONDS = 10.0
"""How often a node says that it is there."""

SEALING = frozenset({"smtp", "milter", "api"})
"""Roles that seal links."""

LIVE_MICROSECONDS = 60_000_000
"""Who was silent for longer is away, and may come back."""


class Node(msgspec.Struct, frozen=True):
    """A node and the keys that it can open links with."""

    name: str
    roles: tuple[str, ...]
    version: str
    keys: dict[int, str]
    """Fingerprints (`fingerprint`) by key id."""
    seals: int
    """The key that it seals new links with."""
    seen_at: int
    """When it was last heard of, in microseconds since 1970 UTC."""

    @property
    def takes_emails(self) -> bool:
        """Whether it seals links."""
        return not SEALING.isdisjoint(self.roles)

    def can_open(self, other: "Node") -> bool:
        """Whether it opens what another node seals."""
        return self.keys.get(other.seals) == other.keys[other.seals]

    def is_live(self, now: int) -> bool:
        """Whether it was heard of lately."""
        return now - self.seen_at < LIVE_MICROSECONDS


class Register(Protocol):
    """Where nodes say that they are there. Raises `ClicktrailError` where it cannot be reached."""

    async def announce(self, node: Node) -> Sequence[Node]:
        """Write a node down; return all nodes."""
        ...

    async def leave(self, name: str) -> None:
        """Strike a node out."""
        ...


def fingerprint(secret: bytes) -> str:
    """Return what tells keys apart and tells nothing of them."""
    return hashlib.blake2b(secret, digest_size=8, person=b"clicktrail-key").hexdigest()


def keys_of(ring: KeyRing) -> dict[int, str]:
    """Return the keys of a ring as a `Node` has them."""
    return {key.id: fingerprint(key.secret) for key in ring.keys}


def trouble(node: Node, others: Iterable[Node], now: int) -> str | None:
    """Return why a node cannot open links that another seals now; ``None`` where it can.

    It is the node's own trouble: one with wrong keys must not take the others out of service.
    """
    for other in _others(node, others, now):
        if other.takes_emails and not node.can_open(other):
            return (
                f"node {other.name} seals links with a key {other.seals} that is not in this"
                " node's keys.json: copy that file from there"
            )
    return None


def stranger(node: Node, others: Iterable[Node], now: int) -> str | None:
    """Return why a node must not seal links: nobody else opens them. ``None`` where it may."""
    there = _others(node, others, now)
    if there and not any(other.can_open(node) for other in there):
        names = ", ".join(other.name for other in there)
        return (
            f"none of the other nodes ({names}) can open links sealed with key {node.seals} of this"
            " one: copy keys.json from there"
        )
    return None


def _others(node: Node, others: Iterable[Node], now: int) -> list[Node]:
    """Return the other nodes that are there."""
    return [other for other in others if other.name != node.name and other.is_live(now)]


def cannot_open(nodes: Iterable[Node], key: int, mark: str) -> list[Node]:
    """Return the nodes that cannot open links sealed with a key of that fingerprint."""
    return [node for node in nodes if node.keys.get(key) != mark]


def that_open(nodes: Iterable[Node], keys: Iterable[tuple[int, str]], here: str) -> list[Node]:
    """Return the nodes elsewhere that can open links sealed with one of some keys.

    ``here`` begins the names of all that use one keys.json.
    """
    wanted = set(keys)
    return [
        node
        for node in nodes
        if not node.name.startswith(here) and not wanted.isdisjoint(node.keys.items())
    ]
