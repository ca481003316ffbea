"""Whether the keys of nodes go together."""

from clicktrail.nodes import LIVE_MICROSECONDS, Node, cannot_open, fingerprint, keys_of, trouble
from clicktrail.token import KEY_SIZE, Key, KeyRing

NOW = 1_790_000_000_000_000
ONE, TWO = (Key(number, bytes([number]) * KEY_SIZE, 0) for number in (1, 2))


def node(name: str, ring: KeyRing, seen_at: int = NOW) -> Node:
    return Node(name, ("redirect",), "1", keys_of(ring), ring.sealing.id, seen_at)


def test_a_fingerprint_tells_keys_apart_and_is_not_the_key() -> None:
    assert fingerprint(ONE.secret) != fingerprint(TWO.secret)
    assert fingerprint(ONE.secret) not in ONE.secret.hex()


def test_nodes_with_the_same_keys_have_no_trouble() -> None:
    ring = KeyRing([ONE, TWO])
    assert trouble(node("a", ring), [node("a", ring), node("b", ring)], NOW) is None
    # Step one of a rotation: some have the new key already, and nobody seals with it.
    assert trouble(node("a", KeyRing([ONE])), [node("b", KeyRing([ONE, TWO], 1))], NOW) is None


def test_a_key_that_others_seal_with_must_be_there() -> None:
    said = trouble(node("a", KeyRing([ONE])), [node("b", KeyRing([ONE, TWO]))], NOW)
    assert said is not None
    assert "node b seals links with key 2" in said


def test_one_number_is_one_key() -> None:
    other = KeyRing([Key(1, TWO.secret, 0)])
    said = trouble(node("a", KeyRing([ONE])), [node("b", other)], NOW)
    assert said is not None
    assert "key 1 is not the key 1 of node b" in said


def test_who_is_away_is_no_trouble_but_must_open_what_will_be_sealed() -> None:
    gone = node("b", KeyRing([ONE]), NOW - LIVE_MICROSECONDS)
    assert trouble(node("a", KeyRing([TWO])), [gone], NOW) is None
    mark = fingerprint(TWO.secret)
    assert cannot_open([gone, node("c", KeyRing([ONE, TWO]))], 2, mark) == [gone]
    assert cannot_open([node("d", KeyRing([Key(2, ONE.secret, 0)]))], 2, mark) != []
