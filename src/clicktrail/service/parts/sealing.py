"""Sees that the key ring is the one that emails already sent were sealed with.

A ring that is missing is made only where no email can have been sealed: new keys in its place would
end all links that are in people's mailboxes, without a word.
"""

import asyncio
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from clicktrail.base.files import is_orphaned, size_of
from clicktrail.errors import ClicktrailError, InvalidInput, StoreUnavailable
from clicktrail.keys.nodes import SEALING, keys_of
from clicktrail.keys.ringfile import PUT_BACK, KeyFile
from clicktrail.keys.token import KeyRing
from clicktrail.service.parts.folder import store_url
from clicktrail.settings.settings import Settings

if TYPE_CHECKING:
    from clicktrail.store import Store

Known = Iterable[tuple[int, str]]
"""Keys that sealed links, by id and fingerprint."""


def missing(known: Known, ring: KeyRing) -> list[tuple[int, str]]:
    """Return the keys that are not on the ring."""
    have = keys_of(ring)
    return [(key_id, mark) for key_id, mark in known if have.get(key_id) != mark]


def check_ring(known: Known, keys: KeyFile) -> None:
    """See that the ring opens every link that was sealed. Raises `InvalidInput`."""
    if lost := missing(known, keys.ring()):
        ids = ", ".join(str(key_id) for key_id, _ in lost)
        raise InvalidInput(
            f"the links of emails already sent were sealed with key {ids}, which is not in"
            f" {keys.path}: {PUT_BACK}"
        )


def prepare_keys(settings: Settings, url: str, keys: KeyFile, roles: Sequence[str]) -> None:
    """See that the key ring can be used; make one where no link was ever sealed. Blocks.

    ``url`` is the store's. Raises `InvalidInput` where the ring is damaged, lost, or another one
    than that which sealed the links of emails already sent.
    """
    there = keys.path.exists()
    if there:
        keys.ring()
        if SEALING.isdisjoint(roles):
            return  # it may have no store, and need none
    try:
        known, tracked = asyncio.run(sealed(settings, url, keys))
    except StoreUnavailable as error:
        if there:
            return  # the roles that need it say so
        raise InvalidInput(
            f"{keys.path} is missing, and whether links need it cannot be told: {error}"
        ) from None
    if there:
        check_ring(known, keys)
        return
    folder = keys.path.parent
    clicked = (folder / "journal.db").exists() or any((folder / "spool").glob("*.spool*"))
    if known or tracked or clicked:
        raise InvalidInput(
            f"{keys.path} is missing, and emails were sent with its keys: {PUT_BACK}"
        )
    if list(roles) == ["redirect"] and settings.text("journal.url"):
        raise InvalidInput(
            f"{keys.path} is missing: copy it here from the node that takes emails, whose links"
            " this one shall open"
        )
    keys.create_if_missing()


async def sealed(settings: Settings, url: str, keys: KeyFile) -> tuple[list[tuple[int, str]], bool]:
    """Return with which keys links were sealed, and whether there are links at all.

    Raises `StoreUnavailable`. A store is not made for it.
    """
    if not has_store(settings, keys):
        return [], False
    # Where all is well, a process that needs no store loads none.
    store: Store = await import_module("clicktrail.store").Store.open(url)
    try:
        known = await store.sealing_keys.known()
        return known, not known and await store.sealing_keys.has_tracked_emails()
    finally:
        await store.close()


def has_store(settings: Settings, keys: KeyFile) -> bool:
    """Whether there is a store already, beside the keys or elsewhere."""
    path = keys.path.parent / "clicktrail.db"
    return bool(settings.text("store.url")) or size_of(path) > 0 or is_orphaned(path)


class SealingWatch:
    """Writes down which key seals links here, before any link is sealed and when it changes."""

    def __init__(self, keys: KeyFile, store: "Store") -> None:
        self._keys = keys
        self._store = store
        self._told: tuple[int, str] | None = None

    async def look(self) -> None:
        """Look at the ring as it is now. Raises `ClicktrailError` where links would die."""
        ring = self._keys.ring()
        sealing = ring.sealing.id, keys_of(ring)[ring.sealing.id]
        kept = self._store.sealing_keys
        known = await kept.known()
        check_ring(known, self._keys)
        if not known and await kept.has_tracked_emails():  # of a version that wrote none down
            for key in keys_of(ring).items():
                await kept.remember(*key)
        if sealing != self._told:
            await kept.remember(*sealing)
            self._told = sealing


def lost_of(keys: KeyFile, known: Known) -> list[tuple[int, str]]:
    """Return the keys that sealed links and cannot be read any more."""
    try:
        return missing(known, keys.ring())
    except ClicktrailError:
        return list(known)


def begin_anew(keys: KeyFile, known: Known) -> tuple[int, str | None]:
    """Make a new ring in place of one that is damaged or missing.

    Return the new key's id, which no lost key had, and where the damaged file is now. Raises
    `InvalidInput` where the ring is whole and opens all links.
    """
    try:
        lost = missing(known, keys.ring())
    except ClicktrailError:
        aside = keys.set_aside()
    else:
        if not lost:
            raise InvalidInput(
                f"{keys.path} is whole, and opens all links that were sealed: nothing is lost."
                " For a new key: clicktrail keys rotate"
            )
        return keys.rotate(max(key_id for key_id, _ in lost)).id, None
    first = 1 + max((key_id for key_id, _ in known), default=0)
    keys.create_if_missing(first)
    return first, aside


def ready_keys(settings: Settings, roles: Sequence[str] = ()) -> KeyFile:
    """Return the key ring's file, whole; made with a first key where no link was ever sealed.

    Blocks, and runs an event loop for a while. Raises `InvalidInput`: see `prepare_keys`.
    """
    file = KeyFile(settings.data / "keys.json")
    prepare_keys(settings, store_url(settings), file, roles)
    return file
