"""A question that only this installation can ask, and an answer that only it can give. No I/O.

`clicktrail domain check` asks over the internet, by way of a domain; the redirect answers. Both
have the key ring, and nobody else has: so an answer proves that the domain leads to this very
installation, and nobody else gets one.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from clicktrail.keys.token import Key, KeyRing

PATH = "/domains/probe/"

PATIENCE_SECONDS = 300
"""How old a question may be, or how much the clocks of two machines may differ."""

_LABEL = b"clicktrail domain probe 1 "


@dataclass(frozen=True, slots=True)
class Question:
    """The path to ask for, and the proof that the answer must hold."""

    path: str
    proof: str


def ask(ring: KeyRing, at: float) -> Question:
    """Return a new question. ``at`` is the time, in seconds since 1970."""
    key = ring.sealing
    said = f"{key.id}.{int(at)}.{secrets.token_urlsafe(16)}"
    return Question(f"{PATH}{said}.{_mac(key, b'question', said)}", _mac(key, b"answer", said))


def prove(ring: KeyRing, path: str, at: float) -> str | None:
    """Return the proof that answers the question of that path; ``None`` where it is not ours."""
    said, _, mac = path.removeprefix(PATH).rpartition(".")
    key_id, _, rest = said.partition(".")
    asked_at = rest.partition(".")[0]
    key = next((each for each in ring.keys if str(each.id) == key_id), None)
    if (
        key is None
        or not path.isascii()
        or not hmac.compare_digest(mac, _mac(key, b"question", said))
    ):
        return None
    if abs(at - int(asked_at)) > PATIENCE_SECONDS:
        return None
    return _mac(key, b"answer", said)


def _mac(key: Key, purpose: bytes, said: str) -> str:
    # A key for this alone: what is signed here can never be taken for anything else of the key's.
    own = hmac.digest(key.secret, _LABEL + purpose, "sha256")
    return urlsafe_b64encode(hmac.digest(own, said.encode(), "sha256")).rstrip(b"=").decode()
