"""Our account at a certificate authority, which all nodes share."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from clicktrail.base.ids import now_us
from clicktrail.base.logs import get_logger
from clicktrail.certificates.authority import Authority, Binding, new_account_key
from clicktrail.certificates.threads import in_thread
from clicktrail.keys.vault import Vault
from clicktrail.store.certificates import CertificateStore

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """Where certificates are ordered, in whose name: see `Authority`."""

    directory: str
    email: str
    ca: Path | None = None
    binding: Binding | None = None


class Accounts:
    """Makes the account where there is none yet: one, however many nodes begin at once."""

    def __init__(self, terms: Terms, vault: Vault) -> None:
        self._terms = terms
        self._vault = vault
        self._purpose = f"acme-account {terms.directory}"
        self._making = asyncio.Lock()

    async def authority(self, store: CertificateStore) -> Authority:
        """Return the authority, which knows our account. Raises `ClicktrailError`."""
        terms = self._terms
        async with self._making:
            account = await store.account(terms.directory)
            if account is None:
                sealed = self._vault.seal(new_account_key(), self._purpose)
                await store.begin_account(terms.directory, sealed)
                account = await store.account(terms.directory)  # another node may have been first
                assert account is not None
            key = self._vault.open(account.sealed, self._purpose)
            authority = await in_thread(lambda: Authority(terms.directory, key, terms.ca))
            if account.url:
                authority.use_account(account.url)
                return authority
            url = await in_thread(lambda: authority.make_account(terms.email, terms.binding))
            await store.set_account(terms.directory, url)
            log.info(
                "account at the certificate authority: its terms of service are agreed to",
                directory=terms.directory,
                terms=authority.terms,
            )
            return authority

    async def forget(self, store: CertificateStore) -> None:
        """Note that the authority does not know the account: it is made anew, of the same key."""
        await store.set_account(self._terms.directory, "")

    async def paused(self, store: CertificateStore) -> bool:
        """Whether the authority wants to be left alone now.

        Raises `InvalidInput` where the account's key cannot be opened: no certificate's can be.
        """
        account = await store.account(self._terms.directory)
        if account is None:
            return False
        self._vault.open(account.sealed, self._purpose)
        return account.paused_until > now_us()

    async def pause(self, store: CertificateStore, seconds: float) -> None:
        """Leave the authority alone for so long, on all nodes."""
        await store.pause(self._terms.directory, now_us() + int(seconds * 1e6))
