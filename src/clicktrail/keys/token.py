"""Tracking links: seal and open their tokens; the key ring. No I/O.

A token is base64url (RFC 4648 § 5) without padding over::

    version (1 byte) | key id (1 byte) | AES-SIV (RFC 5297) of: message id (16) | index | URL

The two head bytes are authenticated with the rest. ``index`` is the link's number as a LEB128
varint, with or without `PASSES`. The URL is UTF-8: as it is in version 1, as raw deflate (RFC 1951)
with a preset dictionary in version 2, whichever is shorter (`packing`). Versions 3 and 4 are these
with the mark of the email's configuration set (`set_mark`) behind the message id; versions 5 and 6
have in the place of both what an anonymous set says (`clicktrail.model.anonymous`). Nobody without
the key can read, change or make a token, and opening one needs nothing but the key.
"""

import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from pybase64 import b64decode, b64encode_as_string

from clicktrail.base.ids import pack_id, unpack_id
from clicktrail.errors import InvalidInput, InvalidToken, NotFound
from clicktrail.keys.packing import DEFLATED, PLAIN, pack, unpack
from clicktrail.model import HttpsPolicy
from clicktrail.model.anonymous import MARK_SIZE, Anonymous, set_mark, unpacked
from clicktrail.model.anonymous import SIZE as ANONYMOUS_SIZE
from clicktrail.model.orders import digest_of

PATH = "/c/"
"""A tracking link is ``{scheme}://{host}/c/{token}``."""

OPEN_PATH = "/o/"
"""The image that tells of opens is ``{scheme}://{host}/o/{token}``, `OPEN_LINK` in its token."""

UNSUBSCRIBE_PATH = "/u/"
"""People unsubscribe at ``{scheme}://{host}/u/{token}``: `UNSUBSCRIBE_LINK` is in its token."""

PATHS = (PATH, OPEN_PATH, UNSUBSCRIBE_PATH)
"""How the paths of all links begin that hold a token; it is what follows."""

_ANY_PATH = re.compile(rf"https?://[^/?#]*(?:{'|'.join(PATHS)})([0-9A-Za-z_-]+)", re.ASCII)

PASSES = 1 << 27
"""What a link's number has where query parameters appended to the tracking link are passed on: no
email has as many links."""

KEY_SIZE = 64
"""Bytes of a key: AES-256 in SIV mode takes two."""

MAX_KEY_ID = 255

_MARKED = DEFLATED
"""What the version of a token has more where it holds a mark."""
_ANONYMOUS = 2 * DEFLATED
"""The same where it holds no message id."""
_NEWEST = DEFLATED + _ANONYMOUS


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the ring. ``id`` is 1 to 255, ``secret`` has 64 bytes."""

    id: int
    secret: bytes
    created_at: int


class Opened(msgspec.Struct):  # no dataclass: that takes three times as long, for each click
    """What a tracking link holds."""

    message_id: str
    """What `Anonymous.text` returns, where the link does not say of which email it is."""
    link: int
    url: str
    key_id: int
    passes: bool = False
    """Whether query parameters appended to the tracking link are passed on."""
    mark: bytes = b""
    """The `set_mark` of the email's configuration set; empty where the link does not say."""
    digest: bytes = b""
    """The `digest_of` the message id; empty where there is none."""


class KeyRing:
    """Seals with one key, opens with every key on the ring.

    ``seals`` is the id of that key; the newest (the highest id) where it is not given. Raises
    `InvalidInput` for an empty ring, a malformed key, or a ``seals`` that is not on the ring.
    """

    def __init__(self, keys: Iterable[Key], seals: int | None = None) -> None:
        self.keys = tuple(sorted(keys, key=lambda key: key.id))
        if not self.keys:
            raise InvalidInput("the key ring is empty")
        for key in self.keys:
            if not 1 <= key.id <= MAX_KEY_ID or len(key.secret) != KEY_SIZE:
                raise InvalidInput(f"key {key.id} is malformed: its id is 1 to 255, its size 64")
        self._ciphers = {key.id: AESSIV(key.secret) for key in self.keys}
        wanted = self.keys[-1].id if seals is None else seals
        if wanted not in self:
            raise InvalidInput(f"key {wanted} shall seal new links, and is not on the key ring")
        self.sealing = next(key for key in self.keys if key.id == wanted)

    def __contains__(self, key_id: int) -> bool:
        return key_id in self._ciphers

    def without(self, key_id: int) -> "KeyRing":
        """Return the ring with a key retired; its links stop working.

        Raises `NotFound`, and `InvalidInput` for the key that seals, which new links need.
        """
        if key_id not in self:
            raise NotFound(f"there is no key {key_id} on the key ring")
        if key_id == self.sealing.id:
            raise InvalidInput(f"key {key_id} seals new links: rotate first, then retire it")
        return KeyRing((key for key in self.keys if key.id != key_id), self.sealing.id)

    def sealer(self, message_id: str, configuration_set: str = "") -> "Sealer":
        """Return what seals the links of one message, which say its configuration set if given."""
        key, mark = self.sealing, set_mark(configuration_set) if configuration_set else b""
        return Sealer(self._ciphers[key.id], key.id, pack_id(message_id) + mark)

    def anonymous_sealer(self, origin: Anonymous) -> "Sealer":
        """Return what seals links that do not say of which email they are."""
        return Sealer(self._ciphers[self.sealing.id], self.sealing.id, origin.packed())

    def seal(self, message_id: str, link: int, url: str) -> str:
        """Return the token of a link."""
        return self.sealer(message_id).seal(link, url)

    def open(self, token: str) -> Opened:
        """Return what a token holds. Raises `InvalidToken` for all that we did not seal."""
        raw = _decode(token)
        if len(raw) < 2 + 16 + ANONYMOUS_SIZE + 1:
            raise InvalidToken("the token is too short")
        version, key_id = raw[0], raw[1]
        if not PLAIN <= version <= _NEWEST:
            raise InvalidToken(f"unknown format version {version}")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise InvalidToken(f"key {key_id} is not on the key ring")
        try:
            plain = cipher.decrypt(raw[2:], [raw[:2]])
        except InvalidTag:
            raise InvalidToken("the token is damaged or forged") from None
        if version <= DEFLATED:
            at, mark, digest, message_id = 16, b"", digest_of(plain), unpack_id(plain[:16])
        elif version <= _ANONYMOUS:
            version -= _MARKED
            at, mark = 16 + MARK_SIZE, plain[16 : 16 + MARK_SIZE]
            digest, message_id = digest_of(plain), unpack_id(plain[:16])
        else:
            version -= _ANONYMOUS
            at, mark, digest = ANONYMOUS_SIZE, plain[:MARK_SIZE], b""
            message_id = unpacked(plain).text
        link, start, passes = plain[at], at + 1, False
        if link > 0x7F:
            link, start = _read_varint(plain, at)
            if link & PASSES:
                link, passes = link ^ PASSES, True
        url = unpack(version, plain[start:])
        return Opened(message_id, link, url, key_id, passes, mark, digest)

    def is_tracking_link(self, url: str) -> bool:
        """Whether a URL is a link that this key ring made: to track, or to unsubscribe."""
        if PATH not in url and UNSUBSCRIBE_PATH not in url:
            return False
        try:
            path = urlsplit(url).path
            if not path.startswith((PATH, UNSUBSCRIBE_PATH)):
                return False
            self.open(path.rpartition("/")[2])
        except (ValueError, InvalidToken):
            return False
        return True

    def leads_here(self, url: str) -> bool:
        """Whether a URL, as a browser writes it, is that of any link or image with our token.

        What programs put behind a token is no part of it: the redirect reads it without, too.
        """
        place = _ANY_PATH.match(url)
        try:
            return place is not None and bool(self.open(place[1]))
        except InvalidToken:
            return False


class Sealer:
    """Seals the links of one message with one key."""

    __slots__ = ("_cipher", "_heads", "_origin")

    def __init__(self, cipher: AESSIV, key_id: int, origin: bytes) -> None:
        """Take what their tokens begin with: message id, and mark if they have one; or neither."""
        self._cipher = cipher
        more = 0 if len(origin) == 16 else _MARKED if len(origin) > 16 else _ANONYMOUS
        self._heads = _heads(key_id, more)
        self._origin = origin

    def seal(self, link: int, url: str) -> str:
        """Return the token of a link. Raises `InvalidInput` for a URL over `MAX_URL` bytes."""
        version, body = pack(url)
        number = _SMALL[link] if link < 0x80 else _varint(link)
        head = self._heads[version]
        sealed = self._cipher.encrypt(self._origin + number + body, head)
        return b64encode_as_string(head[0] + sealed, b"-_").rstrip("=")


@cache
def _heads(key_id: int, more: int) -> tuple[list[bytes], ...]:
    """Return what a token begins with, by how its URL is written: authenticated, not encrypted.

    ``more`` is added to that to be its version.
    """
    return tuple([bytes((version + more, key_id))] for version in range(DEFLATED + 1))


@dataclass(frozen=True, slots=True)
class TrackingHosts:
    """Where tracking links point: a host with an optional port for each scheme.

    ``https`` is empty while nobody is known to serve it; then https links get http tracking links
    with ``downgrade``, else none. ``scheme`` forces one scheme for all links; ``None`` keeps the
    original link's.
    """

    http: str
    https: str
    scheme: str | None = None
    downgrade: bool = False

    def at(self, host: str) -> "TrackingHosts":
        """Return the same with a host of its own."""
        return TrackingHosts(host, self.https and host, self.scheme, self.downgrade)

    def prefix(self, url: str, policy: HttpsPolicy) -> str:
        """Return ``scheme://host/c/`` for the tracking link of a URL (behaviour § 5).

        It is empty where the link must stay as it is: nobody serves its tracking link.
        """
        secure = url[:6].lower() == "https:"
        if self.scheme is not None:
            secure = self.scheme == "https"
        required = policy is HttpsPolicy.REQUIRE
        if secure or required:
            if self.https:
                return f"https://{self.https}{PATH}"
            if required or not self.downgrade:
                return ""
        return f"http://{self.http}{PATH}"

    def open_prefix(self, policy: HttpsPolicy) -> str:
        """Return ``scheme://host/o/`` for the image that tells of opens.

        https where anybody serves it, else http: programs that show emails fetch both. It is empty
        where the policy wants https, and nobody is known to serve it.
        """
        required = policy is HttpsPolicy.REQUIRE
        if self.https and (required or self.scheme != "http"):
            return f"https://{self.https}{OPEN_PATH}"
        return "" if required else f"http://{self.http}{OPEN_PATH}"

    def unsubscribe_prefix(self) -> str:
        """Return ``scheme://host/u/``: https where anybody is known to serve it."""
        if self.https:
            return f"https://{self.https}{UNSUBSCRIBE_PATH}"
        return f"http://{self.http}{UNSUBSCRIBE_PATH}"

    def serves_all(self, policy: HttpsPolicy) -> bool:
        """Whether every link gets a tracking link: no `prefix` is empty."""
        return bool(self.https) or (self.downgrade and policy is not HttpsPolicy.REQUIRE)


def key_id_of(token: str) -> int | None:
    """Return the key id that a token names, unverified; ``None`` where it is no token."""
    try:
        raw = _decode(token)
    except InvalidToken:
        return None
    return raw[1] if len(raw) > 1 else None


def _decode(token: str) -> bytes:
    over = len(token) & 3
    # No two texts are the same token. RFC 4648 § 3.5: the bits that are not used are zero.
    if token[-1:] not in _LAST[over] or "/" in token or "+" in token:
        raise InvalidToken("the token is not canonical base64url")
    try:
        return b64decode(token + _PADDING[over], b"-_", True)
    except ValueError:
        raise InvalidToken("the token is not base64url") from None


_LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
_PADDING = ("", "", "==", "=")
_LAST = (_LETTERS, "", _LETTERS[::16], _LETTERS[::4])
"""The last letters of a text, by its length modulo 4; none where no text is as long."""


@lru_cache(1024)
def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL = tuple(map(_varint, range(0x80)))


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = raw[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
