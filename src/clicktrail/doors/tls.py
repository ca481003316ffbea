"""A server's certificate, which is renewed while connections stay open."""

import os
import ssl
import tempfile
from pathlib import Path

from clicktrail.base.complaints import complaint
from clicktrail.base.complaints.certificates import CertificateUnusable, load_pair
from clicktrail.base.logs import get_logger

log = get_logger(__name__)


def server_context() -> ssl.SSLContext:
    """Return a context for a server's handshakes, without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def load_pem(context: ssl.SSLContext, pem: bytes) -> None:
    """Load a certificate chain and its key (PEM) that are in no file. Raises `ssl.SSLError`.

    OpenSSL takes them from a file alone, which here has no name, and is on no disk where it can be.
    """
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            os.write(file, pem)
            context.load_cert_chain(f"/proc/self/fd/{file}")
        finally:
            os.close(file)
        return
    with tempfile.NamedTemporaryFile() as written:
        written.write(pem)
        written.flush()
        context.load_cert_chain(written.name)


class Certificate:
    """A certificate chain and its key (PEM files); ``context`` makes handshakes with them."""

    def __init__(self, chain: Path, key: Path | None) -> None:
        """Load them; without ``key`` it is in the chain's file. Raises `CertificateUnusable`."""
        self._chain, self._key = chain, key or chain
        self._seen = self._changed()
        self._failure = ""
        self.context = server_context()
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
