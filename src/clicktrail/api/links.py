"""Tracking links: made in emails and in HTML, and opened again."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from clicktrail.base.hostname import tracking_host
from clicktrail.base.ids import new_id
from clicktrail.errors import InvalidInput, InvalidToken
from clicktrail.keys.ringfile import KeyFile, new_ring, read_ring
from clicktrail.keys.token import PATH, TrackingHosts
from clicktrail.model import OPEN_LINK, HttpsPolicy, Link, Reason

if TYPE_CHECKING:
    from clicktrail.rewrite import Policy


@dataclass(frozen=True, slots=True)
class TrackedEmail:
    """What became of an email. With a ``reason`` it is unchanged, and ``links`` is empty."""

    message: bytes
    message_id: str
    links: tuple[Link, ...] = ()
    """The links that are tracked now, by their original URLs."""
    reason: Reason | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackedHtml:
    """What became of a document."""

    html: str
    message_id: str
    links: tuple[Link, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """What a tracking link holds. ``link`` is the index of `Link`, from 0."""

    url: str
    """The original URL, as the email had it."""
    message_id: str
    link: int

    @property
    def location(self) -> str:
        """The URL for a ``Location`` header (RFC 9110 § 10.2.2): printable ASCII."""
        from clicktrail.redirect.location import location  # noqa: PLC0415 - only for redirects

        return location(self.url).decode("ascii")


def new_keys() -> bytes:
    """Return a new key ring, as `Tracking` takes it: JSON, to be kept as secretly as a password."""
    return new_ring()


class Tracking:
    """Replaces links by tracking links, and opens these.

    ``keys`` is a key ring: the path of a ``keys.json``, whose changes are noticed, or what it holds
    (`new_keys`). ``host`` is where tracking links lead, ``click.example.com`` with an optional
    port: what answers ``/c/…`` there opens them. ``https`` tells whether it serves https: if not,
    all tracking links are http; if so, they keep the scheme of the link, or are all https where
    it is ``"required"``. Without ``visible_urls``, links whose text is their own URL stay as they
    are.

    It loads the rewriter when it first rewrites; may be used by many threads at once. Raises
    `InvalidInput` for keys that are none and for a host that can be none.
    """

    def __init__(
        self,
        keys: Path | bytes,
        host: str,
        *,
        https: bool | str = True,
        visible_urls: bool = True,
    ) -> None:
        if https not in (True, False, "required"):
            raise InvalidInput(f'https = {https!r}: expected True, False or "required"')
        self._file = KeyFile(keys) if isinstance(keys, Path) else None
        self._ring = self._file.ring() if self._file else read_ring(bytes(keys), "what is given")
        name = tracking_host(host)
        self._hosts = TrackingHosts(name, name if https else "", downgrade=True)
        self._https = HttpsPolicy.REQUIRE if https == "required" else HttpsPolicy.OPTIONAL
        self._visible_urls = visible_urls

    def rewrite_email(self, message: bytes, message_id: str = "") -> TrackedEmail:
        """Return an email with the links of its HTML parts replaced.

        ``message`` is the whole email (RFC 5322), as it would be sent; takes any bytes. All else
        stays as it is, byte for byte. ``message_id`` is what its links are to say they are of, an
        id that an earlier call returned; a new one if empty. Raises `InvalidInput` for another.
        """
        from clicktrail.rewrite import rewrite_message  # noqa: PLC0415 - takes a while

        id_ = message_id or new_id()
        done = rewrite_message(message, self._policy(id_))
        return TrackedEmail(done.message, id_, done.links, done.reason, done.warnings)

    def rewrite_html(self, html: str, message_id: str = "", *, first: int = 0) -> TrackedHtml:
        """Return a document with its links replaced: see `rewrite_email`.

        ``first`` is the index of its first link, for the second document of one email.
        """
        from clicktrail.rewrite import rewrite_html  # noqa: PLC0415 - takes a while

        id_ = message_id or new_id()
        done = rewrite_html(html, self._policy(id_), first=first)
        return TrackedHtml(done.html, id_, tuple(done.links), tuple(done.warnings))

    def open(self, link: str) -> OpenedLink:
        """Return what a tracking link holds.

        ``link`` is the link, its path, or its token alone. Raises `InvalidToken` for one that was
        not made with these keys: answer it 404.
        """
        try:
            path = urlsplit(link).path if "/" in link else link
        except ValueError:
            raise InvalidToken("it is no URL") from None
        token = unquote(path.removeprefix(PATH))
        opened = self._file.open(token) if self._file else self._ring.open(token)
        if opened.link >= OPEN_LINK:
            raise InvalidToken("it is no link to be followed, but of an image or to unsubscribe")
        return OpenedLink(opened.url, opened.message_id, opened.link)

    def _policy(self, message_id: str) -> "Policy":
        from clicktrail.rewrite import policy_of  # noqa: PLC0415 - takes a while

        ring = self._file.ring() if self._file else self._ring
        return policy_of(
            self._hosts,
            self._https,
            ring.sealer(message_id).seal,
            ring.is_tracking_link,
            visible_urls=self._visible_urls,
        )
