"""The certificates that are served now, by the name that a client asks for (RFC 6066 § 3)."""

import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterable

from clicktrail.base.logs import get_logger
from clicktrail.base.redact import reason_of
from clicktrail.certificates import alpn
from clicktrail.certificates.challenges import Challenges
from clicktrail.doors.handshake import Choose
from clicktrail.doors.tls import load_pem, server_context
from clicktrail.errors import ClicktrailError
from clicktrail.keys.vault import Vault
from clicktrail.store.certificates import Challenge, Kept

MOST_LOADED = 2000
"""So many certificates are ready for a handshake; others are loaded when they are asked for."""

_NO_SUCH_NAME = ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
_OFFER = bytes([len(alpn.PROTOCOL)]) + alpn.PROTOCOL.encode()
"""How a client's first message holds the protocol (RFC 7301 § 3.1)."""

log = get_logger(__name__)


def purpose(name: str) -> str:
    """Return what the vault is told that the key of a name's certificate is for."""
    return f"certificate {name}"


class Shelf:
    """Certificates in memory, their keys sealed until the first handshake.

    A handshake waits for no order: who asks for a name without a certificate is refused at once, or
    gets the listener's own. ``default`` is the name for clients that give none.
    """

    def __init__(self, vault: Vault, challenges: Challenges, default: str = "") -> None:
        self._vault = vault
        self._challenges = challenges
        self._default = default
        self._kept: dict[str, Kept] = {}
        self._issued: dict[str, int] = {}
        """When what was put here last was issued, by name."""
        self._loaded: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        self._answers: dict[Challenge, ssl.SSLContext] = {}

    def put(self, certificates: Iterable[Kept]) -> list[Kept]:
        """Serve certificates from now on, in place of older ones of the same names.

        Return those that are new here.
        """
        new = []
        for each in certificates:
            if self._issued.get(each.name, 0) < each.issued_at:
                self._issued[each.name] = each.issued_at
                self._kept[each.name] = each
                self._loaded.pop(each.name, None)
                new.append(each)
        return new

    def serve(self, context: ssl.SSLContext, *, has_own: bool) -> Choose:
        """See `clicktrail.redirect.server.Names`."""
        _set_callback(context, self._context, has_own=has_own)
        answering = server_context()
        answering.set_alpn_protocols([alpn.PROTOCOL])
        _set_callback(answering, self._answer, has_own=False)

        async def choose(record: bytes) -> ssl.SSLContext:
            # RFC 8737 § 3: who offers this protocol offers no other, and is an authority. Who only
            # has the same bytes somewhere in the record gets no certificate, and does no harm.
            if _OFFER not in record:
                return context
            try:
                self._prepare(await self._challenges.current())
            except ClicktrailError as error:
                log.warning("a challenge cannot be answered", reason=error)
            return answering

        return choose

    def _context(self, name: str | None) -> ssl.SSLContext | None:
        asked = (name or self._default).lower()
        if asked in self._loaded:
            self._loaded.move_to_end(asked)
            return self._loaded[asked]
        kept = self._kept.get(asked)
        if kept is None:
            return None
        context = server_context()
        try:
            key = self._vault.open(kept.sealed, purpose(asked))
            load_pem(context, kept.chain.encode() + b"\n" + key)
        except (ClicktrailError, OSError) as error:  # of which ssl.SSLError is one
            log.error("a certificate cannot be used", name=asked, reason=reason_of(error))
            del self._kept[asked]  # told once, and not with each handshake
            return None
        context.set_alpn_protocols(["http/1.1"])
        self._loaded[asked] = context
        if len(self._loaded) > MOST_LOADED:
            self._loaded.popitem(last=False)
        return context

    def _prepare(self, challenges: Iterable[Challenge]) -> None:
        wanted = [each for each in challenges if each.kind == "tls-alpn-01"]
        answers = {}
        for each in wanted:
            context = self._answers.get(each)
            if context is None:
                context = server_context()
                load_pem(context, alpn.answer(each.name, each.key_authorization))
                context.set_alpn_protocols([alpn.PROTOCOL])
            answers[each] = context
        self._answers = answers

    def _answer(self, name: str | None) -> ssl.SSLContext | None:
        return next((c for each, c in self._answers.items() if each.name == name), None)


def _set_callback(
    context: ssl.SSLContext,
    find: Callable[[str | None], ssl.SSLContext | None],
    *,
    has_own: bool,
) -> None:
    def choose(
        client: ssl.SSLObject, name: str | None, _: ssl.SSLContext
    ) -> ssl.AlertDescription | None:
        found = find(name)
        if found is not None:
            client.context = found
            return None
        return None if has_own else _NO_SUCH_NAME

    context.sni_callback = choose
