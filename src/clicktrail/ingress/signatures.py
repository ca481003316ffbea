"""DKIM on the way of an email: what rewriting breaks comes off, what its identity signs goes on."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from clicktrail.base.logs import get_logger
from clicktrail.errors import ClicktrailError, InvalidInput, MessageRefused
from clicktrail.headers.fields import HeaderSection, first_field, without_fields
from clicktrail.ingress.rewriting import LARGE
from clicktrail.ingress.trace import missing_fields, on_top
from clicktrail.keys.vault import Vault
from clicktrail.model import Dkim, Identity
from clicktrail.rules.wishes import TRACK_HEADER

if TYPE_CHECKING:
    from clicktrail.ingress.dkim import Signer

log = get_logger(__name__)


class Signatures:
    """Signs for identities. ``vault`` opens their keys; large emails are signed ``in_thread``."""

    def __init__(
        self,
        vault: Vault | None,
        in_thread: Callable[[Callable[[], bytes]], Awaitable[bytes]],
    ) -> None:
        self._vault = vault
        self._in_thread = in_thread
        self._signer: Signer | None = None

    async def renew(
        self,
        before: bytes,
        after: bytes,
        header: HeaderSection,
        identity: Identity | None,
        *,
        converted: bool = False,
    ) -> tuple[bytes, list[str]]:
        """Return an email, rewritten from ``before``, as its identity signs it, and warnings.

        ``converted`` tells that it was not only rewritten, but converted to 7 bits.

        Raises `MessageRefused`: an email that should be signed does not go on unsigned because of
        a fault here, which would make receivers distrust its domain.
        """
        outgoing, warnings = _without_broken(before, after, header, converted=converted)
        if identity is not None and identity.dkim is not None and identity.dkim.enabled:
            outgoing = on_top(missing_fields(header, identity.domain), outgoing)
            outgoing, more = await self._signed(outgoing, identity, identity.dkim)
            warnings += more
        return outgoing, warnings

    async def _signed(self, raw: bytes, identity: Identity, key: Dkim) -> tuple[bytes, list[str]]:
        """Return the email with a signature, or why it has none.

        ``raw`` has a Date and a Message-ID: whoever added one later would break the signature.
        """
        from clicktrail.ingress.dkim import NotSignable, Signer  # noqa: PLC0415 - few sign

        try:
            if self._signer is None:
                if self._vault is None:
                    raise InvalidInput("there is no vault here that opens DKIM keys")
                self._signer = Signer(self._vault)
            signing = partial(self._signer.signature, raw, identity, key)
            signature = await self._in_thread(signing) if len(raw) > LARGE else signing()
        except NotSignable as error:
            return raw, [str(error)]
        except ClicktrailError as error:
            log.error("email could not be signed", identity=identity.name, reason=error)
            raise MessageRefused(
                451,
                "4.7.5 this email cannot be signed now (DKIM); the log of this service says why",
            ) from None
        return on_top(signature, raw), []


_OURS = ("x-ses-", TRACK_HEADER)
"""How the names of headers begin that may have been removed (`clicktrail.ingress.accept`)."""
_ADDED = "list-unsubscribe"
"""The first header that may have been added (`clicktrail.ingress.options.lists`)."""


def _has_on_top(raw: bytes) -> bool:
    at = first_field(raw)
    return raw[at : at + len(_ADDED) + 1].lower() == f"{_ADDED}:".encode()


def _without_broken(
    before: bytes, after: bytes, header: HeaderSection, *, converted: bool
) -> tuple[bytes, list[str]]:
    """Return the email without the DKIM signatures that no longer fit it, and what was removed.

    They do not where the body was changed, or where they sign a header that has been for us, or one
    that was added.
    """
    given = header.values("dkim-signature")
    if not given or before == after:
        return after, []
    changed = not before.endswith(after[after.find(b"\r\n\r\n") :])
    added = (_ADDED,) if _has_on_top(after) and not _has_on_top(before) else ()
    others = any(name in value.lower() for value in given for name in (*_OURS, *added))
    if not (changed or converted or others):
        return after, []
    if converted:
        why = "the email was converted to 7 bits"
    elif changed:
        why = "the links of the email were rewritten"
    else:
        why = "a header it signs was removed or added"
    return without_fields(after, frozenset({"dkim-signature"})), [
        f"{len(given)} DKIM-Signature removed: {why}"
    ]
