"""The key ring on disk: one JSON file that only its owner may read (mode 0600)."""

import secrets
import time
from base64 import b64decode, b64encode
from pathlib import Path

import msgspec

from clicktrail.base.complaints import complaint
from clicktrail.base.files import write_private
from clicktrail.base.ids import now_us, rfc3339
from clicktrail.base.redact import reason_of
from clicktrail.errors import InvalidInput, InvalidToken, NotFound
from clicktrail.keys.nodes import fingerprint, keys_of
from clicktrail.keys.token import KEY_SIZE, MAX_KEY_ID, Key, KeyRing, Opened, key_id_of

PUT_BACK = (
    "put keys.json back from a backup or from another node. If it is lost for good, `clicktrail"
    " keys begin-anew` makes new keys: links in emails already sent then stay dead"
)


class _StoredKey(msgspec.Struct):
    id: int
    secret: str
    created_at: int
    created: str = ""
    fingerprint: str = ""
    """Of the secret, which a flipped bit makes another one. Files of versions before have none."""


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

    def create_if_missing(self, first_id: int = 1) -> None:
        """Make the file with a first key, unless it is there already."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                write_private(self.path, new_ring(first_id), replace=False)
            except FileExistsError:
                return  # another process was first: its key is as good

    def ring(self) -> KeyRing:
        """Return the key ring as it is now.

        Where it cannot be read any more, it is the last one that could. Raises `InvalidInput` where
        none was read before.
        """
        try:
            stat = self.path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if self._ring is None or seen != self._seen:
                self._ring = self._read()
                self._seen = seen
        except (OSError, InvalidInput) as error:
            if self._ring is not None:
                return self._ring  # a new one is being copied here: what was known still holds
            if isinstance(error, InvalidInput):
                raise
            raise _unreadable(self.path, error) from None
        return self._ring

    def reload(self) -> None:
        """Read the key ring again, changed or not.

        Raises `InvalidInput` where it cannot be read; then the old one stays in use.
        """
        try:
            stat = self.path.stat()
            self._ring = self._read()
        except OSError as error:
            raise _unreadable(self.path, error) from None
        self._seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def check(self) -> None:
        """See that the file can be read as it is now; `ring` does without where it could before.

        Raises `InvalidInput`.
        """
        try:
            self._read()
        except OSError as error:
            raise _unreadable(self.path, error) from None

    def _read(self) -> KeyRing:
        """Return what the file holds now. Raises `OSError` and `InvalidInput`.

        A number never gets another key: such a file is damaged, or another installation's.
        """
        ring = read_ring(self.path.read_bytes(), str(self.path))
        if self._ring is not None:
            known = keys_of(self._ring)
            for key_id, mark in keys_of(ring).items():
                if known.get(key_id, mark) != mark:
                    raise InvalidInput(
                        f"key {key_id} in {self.path} is another than the one that links are sealed"
                        " and opened with here: put keys.json back from a backup or from another"
                        " node. If this file is the right one, start the service again"
                    )
        return ring

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

    def add(self, above: int = 0) -> Key:
        """Add a key that only opens links, and return it; its id is above that one too."""
        ring = self.ring()
        newest = max(ring.keys[-1].id, above)
        if newest >= MAX_KEY_ID:
            raise InvalidInput("the key ring has used all 255 key ids")
        key = Key(newest + 1, secrets.token_bytes(KEY_SIZE), now_us())
        write_private(self.path, _dump((*ring.keys, key), ring.sealing.id))
        return key

    def seal_with(self, key_id: int) -> None:
        """Seal new links with a key of the ring from now on. Raises `NotFound`."""
        ring = self.ring()
        if key_id not in ring:
            raise NotFound(f"there is no key {key_id} on the key ring")
        write_private(self.path, _dump(ring.keys, key_id))

    def rotate(self, above: int = 0) -> Key:
        """Add a key that seals new links from now on, and return it: see `add`."""
        key = self.add(above)
        self.seal_with(key.id)
        return key

    def retire(self, key_id: int) -> None:
        """Take a key off the ring for ever: links sealed with it stop working."""
        ring = self.ring().without(key_id)
        write_private(self.path, _dump(ring.keys, ring.sealing.id))

    def set_aside(self) -> str | None:
        """Rename the file, where there is one; return what it is called now."""
        kept = self.path.with_name(f"{self.path.name}.damaged-{rfc3339(now_us())}")
        try:
            self.path.rename(kept)
        except FileNotFoundError:
            return None
        return str(kept)


def _unreadable(path: Path, error: OSError) -> InvalidInput:
    said = f"the key ring {path} cannot be read: {complaint(error, path)}"
    # Who may not read it has lost nothing.
    return InvalidInput(said if isinstance(error, PermissionError) else f"{said}. {PUT_BACK}")


def _dump(keys: tuple[Key, ...], seals: int | None = None) -> bytes:
    seals = None if seals == max(key.id for key in keys) else seals
    stored = [
        _StoredKey(
            k.id,
            b64encode(k.secret).decode(),
            k.created_at,
            rfc3339(k.created_at),
            fingerprint(k.secret),
        )
        for k in keys
    ]
    return msgspec.json.format(msgspec.json.encode(_Stored(stored, seals))) + b"\n"


def new_ring(first_id: int = 1) -> bytes:
    """Return what a new file holds: one key."""
    return _dump((Key(first_id, secrets.token_bytes(KEY_SIZE), now_us()),))


def read_ring(raw: bytes, what: str) -> KeyRing:
    """Return the key ring that a file holds; errors call it so. Raises `InvalidInput`."""
    try:
        stored = msgspec.json.decode(raw, type=_Stored)
        keys = [Key(k.id, b64decode(k.secret), k.created_at) for k in stored.keys]
        for key, kept in zip(keys, stored.keys, strict=True):
            if kept.fingerprint not in ("", fingerprint(key.secret)):
                raise InvalidInput(f"key {key.id} does not go with its fingerprint")
        return KeyRing(keys, stored.seals)
    except (ValueError, InvalidInput, msgspec.DecodeError) as error:
        raise InvalidInput(f"{what} is not a key ring ({reason_of(error)}): {PUT_BACK}") from None
