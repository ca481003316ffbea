"""Sees that the key in ``vault-key`` is the one that the secrets in the store were sealed with.

With another one, no access key signs anybody in and no email of a signed identity goes out. Clicks
need none of it, so that a service without it starts, and is not ready.
"""

from pathlib import Path

from clicktrail.errors import InvalidInput
from clicktrail.keys.dkim import purpose
from clicktrail.keys.vault import Vault
from clicktrail.service.parts.folder import VAULT_KEY
from clicktrail.store import Store

OFTEN = 100
"""So many access keys, the newest, are looked at again and again while the service runs."""
_NAMED = 3
"""So many secrets are named that cannot be opened."""


async def look_at_vault(folder: Path, store: Store, most: int | None = None) -> None:
    """Open the secrets that are in use; of access keys only the ``most`` newest, or all.

    Raises `ClicktrailError` where one cannot be opened.
    """
    identities = (await store.configuration.current()).identities.values()
    sealed = [
        *await store.access_keys.sealed(most),
        *((purpose(each.name), each.dkim.sealed) for each in identities if each.dkim),
    ]
    path = folder / VAULT_KEY
    if not sealed and not path.exists():
        return
    safe = Vault.of_file(path, make=False)
    lost = []
    for what, secret in sealed:
        try:
            safe.open(secret, what)
        except InvalidInput:
            lost.append(what)
    if lost:
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise InvalidInput(
            f"{path} is not the key that secrets were sealed with ({', '.join(lost[:_NAMED])}"
            f"{more}): put back the file from a backup or from another node, and start again. If it"
            " is lost for good, make access keys and DKIM keys anew, and switch off the old ones"
        )
