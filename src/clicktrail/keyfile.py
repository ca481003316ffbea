"""The key ring on disk: one JSON file that only its owner may read (mode 0600)."""

import secrets
import time
from base64 import b64decode, b64encode
from pathlib import Path

import msgspec

from clicktrail.errors import InvalidInput, InvalidToken, NotFound
from clicktrail.files import write_private
from clicktrail.ids import now_us, rfc3339
from clicktrail.token import KEY_SIZE, MAX_KEY_ID, Key, KeyRing, Opened, key_id_of


class _StoredKey(msgspec.Struct):
    id: int
    secret: str
    created_at: int
    created: str = ""


class _Stored(msgspec.Struct, omit_defaults=True):
    keys: list[_StoredKey]
    seals: int | None = None
    """The key that seals new links; the newest where it is not said."""


class KeyFile:
    """Reads, makes and changes the key ring's file; notices when another process changed it."""

    RECHECK_SECONDS = 1.0

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._ring: KeyRing | None = None
        self._checked = 0.0

    def create_if_missing(self) -> None:
        """Make the file with a first key, unless it is there already."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            first = Key(1, secrets.token_bytes(KEY_SIZE), now_us())
            try:
                write_private(self.path, _dump((first,)), replace=False)
            except FileExistsError:
                return  # another process was first: its key is as good

    def ring(self) -> KeyRing:
        """Return the key ring as it is now. Raises `InvalidInput` where it cannot be read."""
        try:
            stat = self.path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if self._ring is None or seen != self._seen:
                self._ring = _load(self.path.read_bytes(), self.path)
                self._seen = seen
        except (OSError, InvalidInput) as error:
            if self._ring is not None:
                return self._ring  # a new one is being copied here: what was known still holds
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(f"the key ring {self.path} cannot be read: {error}") from None
        return self._ring

    def open(self, token: str) -> Opened:
        """Open a token; a key that this process has not seen yet is looked up in the file.

        Raises `InvalidToken`.
        """
        ring = self._ring or self.ring()
        try:
            return ring.open(token)
        except InvalidToken:
            # Only a key id that is not on the ring is worth a look, and at most one a second:
            # forged tokens must not cost file reads.
            key_id = key_id_of(token)
            now = time.monotonic()
            if key_id is None or key_id in ring or now - self._checked < self.RECHECK_SECONDS:
                raise
            self._checked = now
            return self.ring().open(token)

    def add(self) -> Key:
        """Add a key that only opens links, and return it."""
        ring = self.ring()
        newest = ring.keys[-1]
        if newest.id >= MAX_KEY_ID:
            raise InvalidInput("the key ring has used all 255 key ids")
        key = Key(newest.id + 1, secrets.token_bytes(KEY_SIZE), now_us())
        write_private(self.path, _dump((*ring.keys, key), ring.sealing.id))
        return key

    def seal_with(self, key_id: int) -> None:
        """Seal new links with a key of the ring from now on. Raises `NotFound`."""
        ring = self.ring()
        if key_id not in ring:
            raise NotFound(f"there is no key {key_id} on the key ring")
        write_private(self.path, _dump(ring.keys, key_id))

    def rotate(self) -> Key:
        """Add a key that seals new links from now on, and return it."""
        key = self.add()
        self.seal_with(key.id)
        return key

    def retire(self, key_id: int) -> None:
        """Take a key off the ring for ever: links sealed with it stop working."""
        ring = self.ring().without(key_id)
        write_private(self.path, _dump(ring.keys, ring.sealing.id))


def _dump(keys: tuple[Key, ...], seals: int | None = None) -> bytes:
    seals = None if seals == max(key.id for key in keys) else seals
    stored = [
        _StoredKey(k.id, b64encode(k.secret).decode(), k.created_at, rfc3339(k.created_at))
        for k in keys
    ]
    return msgspec.json.format(msgspec.json.encode(_Stored(stored, seals))) + b"\n"


def _load(raw: bytes, path: Path) -> KeyRing:
    try:
        stored = msgspec.json.decode(raw, type=_Stored)
        keys = (Key(k.id, b64decode(k.secret), k.created_at) for k in stored.keys)
        return KeyRing(keys, stored.seals)
    except (ValueError, msgspec.DecodeError) as error:
        raise InvalidInput(f"{path} is not a key ring: {error}") from None
