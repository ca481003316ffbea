"""Whether the keys of nodes go together."""

from clicktrail.keys.nodes import (
    LIVE_MICROSECONDS,
    Node,
    cannot_open,
    fingerprint,
    keys_of,
    stranger,
    trouble,
)
from clicktrail.keys.token import KEY_SIZE, Key, KeyRing

NOW = 1_790_000_000_000_000
ONE, TWO = (Key(number, bytes([number]) * KEY_SIZE, 0) for number in (1, 2))


def node(name: str, ring: KeyRing, seen_at: int = NOW, role: str = "smtp") -> Node:
    return Node(name, (role,), "1", keys_of(ring), ring.sealing.id, seen_at)


def test_a_fingerprint_tells_keys_apart() -> None:
    assert fingerprint(ONE.secret) != fingerprint(TWO.secret)


def test_nodes_with_the_same_keys_have_no_trouble() -> None:
    ring = KeyRing([ONE, TWO])
    assert trouble(node("a", ring), [node("a", ring), node("b", ring)], NOW) is None
    # Step one of a rotation: some have the new key already, and nobody seals with it.
    assert trouble(node("a", KeyRing([ONE])), [node("b", KeyRing([ONE, TWO], 1))], NOW) is None


def test_a_key_that_others_seal_with_must_be_there() -> None:
    said = trouble(node("a", KeyRing([ONE])), [node("b", KeyRing([ONE, TWO]))], NOW)
    assert said is not None
    assert "node b seals links with a key 2" in said


def test_one_number_is_one_key() -> None:
    other = KeyRing([Key(1, TWO.secret, 0)])
    said = trouble(node("a", KeyRing([ONE])), [node("b", other)], NOW)
    assert said is not None
    assert "node b seals links with a key 1" in said


def test_a_redirect_with_wrong_keys_troubles_itself_alone() -> None:
    good, wrong = KeyRing([ONE]), KeyRing([Key(1, TWO.secret, 0)])
    nodes = [node("mail", good), node("r1", good, role="redirect")]
    nodes.append(node("r2", wrong, role="redirect"))
    troubled = [each.name for each in nodes if trouble(each, nodes, NOW)]
    assert troubled == ["r2"]
    assert stranger(nodes[0], nodes, NOW) is None


def test_who_seals_what_nobody_opens_is_a_stranger() -> None:
    new = node("mail", KeyRing([Key(1, TWO.secret, 0)]))
    redirects = [node(name, KeyRing([ONE]), role="redirect") for name in ("r1", "r2")]
    said = stranger(new, redirects, NOW)
    assert said is not None
    assert "r1, r2" in said
    assert stranger(new, [], NOW) is None, "the first one"
    gone = [node("r1", KeyRing([ONE]), NOW - LIVE_MICROSECONDS, "redirect")]
    assert stranger(new, gone, NOW) is None


def test_who_is_away_is_no_trouble_but_must_open_what_will_be_sealed() -> None:
    gone = node("b", KeyRing([ONE]), NOW - LIVE_MICROSECONDS)
    assert trouble(node("a", KeyRing([TWO])), [gone], NOW) is None
    mark = fingerprint(TWO.secret)
    assert cannot_open([gone, node("c", KeyRing([ONE, TWO]))], 2, mark) == [gone]
    assert cannot_open([node("d", KeyRing([Key(2, ONE.secret, 0)]))], 2, mark) != []
