"""Where the data folder is, and what is in it from the beginning."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clicktrail.base.complaints import complaint, why_not_writable
from clicktrail.base.files import is_full, is_locked, is_orphaned, size_of, write_private
from clicktrail.errors import NoRoom, SettingError
from clicktrail.keys.vault import FollowedVault, Vault
from clicktrail.settings.settings import Settings

VAULT_KEY = "vault-key"
"""The file of the key that seals secrets in the store."""

_SIGNS = ("keys.json", "clicktrail.db", "journal.db", "spool", VAULT_KEY)
"""What one of is in every data folder: a service makes the first before all else."""


_BESIDE_A_STORE = ("api-token", "webhook-secret")
"""What a service makes that has, or had, a store. Commands make a `VAULT_KEY` before it."""


_START_SECONDS, _MAKING_SECONDS = 2.0, 60.0
"""How long a command waits for a first start: for its first files, and while it makes its store."""
_LOOK_SECONDS = 0.05


def data_folder(settings: Settings, pause: Callable[[float], None] = time.sleep) -> Path:
    """Return the data folder of a service that was started once. Raises `SettingError`.

    Nothing is made: a command in the wrong folder would answer from an empty database.
    """
    folder = settings.data.absolute()
    until = time.monotonic() + _START_SECONDS
    while (there := _names_in(settings, folder)).isdisjoint(_SIGNS):
        # A service may just have begun its first start there.
        if "at-work" not in there or time.monotonic() > until:
            raise SettingError(
                f"there is no data of Clicktrail in {folder} (data = {str(settings.data)!r}, from"
                f" {settings.source('data')}): say where it is with --data FOLDER, CLICKTRAIL_DATA"
                " or data in clicktrail.toml. `clicktrail serve` makes it at its first start"
            )
        pause(_LOOK_SECONDS)
    return settings.data


def _names_in(settings: Settings, folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - names are enough
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise _unusable(settings, error) from None


def new_data_folder(settings: Settings) -> Path:
    """Return the data folder; it is made where there is none. Raises `SettingError`."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unusable(settings, error) from None
    if why := why_not_writable(settings.data / "keys.json"):
        raise SettingError(f"data = {str(settings.data)!r} cannot be used: {why}")
    return settings.data


def _unusable(settings: Settings, error: OSError) -> SettingError:
    why = complaint(error, settings.data)
    return SettingError(f"data = {str(settings.data)!r} cannot be used: expected a folder ({why})")


def store_url(settings: Settings) -> str:
    """Return the URL of the store: the one set, else that of a file in the data folder."""
    if url := settings["store.url"]:
        return str(url)
    return f"sqlite:///{settings.data.absolute() / 'clicktrail.db'}"


def lost_store(settings: Settings, pause: Callable[[float], None] = time.sleep) -> str:
    """Return what is wrong where the store's file is gone and others tell that there was one.

    Nothing where it is well, or the log is all that is left: that is refused by who opens it. An
    empty file is waited for, in case a service is just making it.
    """
    path = settings.data / "clicktrail.db"
    began = time.monotonic()
    while why := _lost(settings, path):
        waited = time.monotonic() - began
        most = _MAKING_SECONDS if is_locked(path.with_name(path.name + ".lock")) else _START_SECONDS
        if not path.exists() or waited > most:
            return why
        pause(_LOOK_SECONDS)
    return ""


def _lost(settings: Settings, path: Path) -> str:
    if settings.text("store.url") or size_of(path) or is_orphaned(path):
        return ""
    # A redirect has a journal and may need no store: it makes none.
    beside = (*_BESIDE_A_STORE, "journal.db") if path.exists() else _BESIDE_A_STORE
    if not any((settings.data / each).exists() for each in beside):
        return ""
    return (
        f"{path} is empty or gone, and what lies beside it is not new: put a backup of it back"
        " (docs/operations.md); if it is elsewhere, say so in store.url; if there never was one, or"
        " it is lost, `clicktrail serve` makes a new one"
    )


def vault(folder: Path) -> Vault:
    """Return the vault of a data folder; its key is made where there is none."""
    return Vault.of_file(folder / VAULT_KEY)


def followed_vault(folder: Path) -> Vault:
    """Return the same for a service, which starts without a key that can be used."""
    return FollowedVault(folder / VAULT_KEY)


def secret_of(given: str, file: Path, make: Callable[[], str]) -> str:
    """Return a secret from the settings, or else from a file, where one is made at first use.

    Raises `SettingError` where the file cannot be used, `NoRoom` where it cannot be made now.
    """
    if given:
        return given
    try:
        if not file.exists():
            with suppress(FileExistsError):  # another process was first
                write_private(file, make().encode() + b"\n", replace=False)
    except OSError as error:
        kind = NoRoom if is_full(error) else SettingError
        raise kind(f"{file} cannot be used: {complaint(error, file)}") from None
    return secret_in(file)


def secret_in(file: Path) -> str:
    """Return the secret in a file. Raises `SettingError` where the file cannot be used."""
    try:
        secret = file.read_bytes().strip().decode("utf-8", "replace")
        if secret and secret.isascii() and secret.isprintable():
            return secret
    except OSError as error:
        raise SettingError(f"{file} cannot be used: {complaint(error, file)}") from None
    raise SettingError(
        f"{file} holds no secret, which is a line of ASCII: put it back from a backup, or delete"
        " the file, and a new one is made at the next start"
    )
