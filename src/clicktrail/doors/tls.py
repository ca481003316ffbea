"""A server's certificate, which is renewed while connections stay open."""

import ssl
from pathlib import Path

from clicktrail.base.complaints import complaint
from clicktrail.base.complaints.certificates import CertificateUnusable, load_pair
from clicktrail.base.logs import get_logger

log = get_logger(__name__)


class Certificate:
    """A certificate chain and its key (PEM files); ``context`` makes handshakes with them."""

    def __init__(self, chain: Path, key: Path | None) -> None:
        """Load them; without ``key`` it is in the chain's file. Raises `CertificateUnusable`."""
        self._chain, self._key = chain, key or chain
        self._seen = self._changed()
        self._failure = ""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        load_pair(self.context, chain, self._key)

    def reload(self) -> None:
        """Load them again, for the handshakes to come.

        Raises `CertificateUnusable`; then the old ones stay in use.
        """
        changed = self._changed()
        # On trial first: a chain without its key, which may still be on its way, would leave
        # the context with neither.
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._chain, self._key)
        load_pair(self.context, self._chain, self._key)
        self._seen = changed

    def renew(self) -> None:
        """Load them again where their file has changed; failing, the old ones stay in use."""
        try:
            if self._changed() == self._seen:
                return
            self.reload()
        except CertificateUnusable as error:
            if str(error) != self._failure:
                self._failure = str(error)
                log.warning("certificate not renewed", path=str(self._chain), reason=error)
        else:
            self._failure = ""
            log.info("certificate renewed", path=str(self._chain))

    def _changed(self) -> int:
        try:
            return self._chain.stat().st_mtime_ns
        except OSError as error:
            why = complaint(error, self._chain)
            raise CertificateUnusable(self._chain, why, is_key=False) from None
