"""Where the data folder is, and what is in it from the beginning."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clicktrail.base.complaints import complaint, why_not_writable
from clicktrail.base.files import write_private
from clicktrail.errors import SettingError
from clicktrail.keys.vault import Vault
from clicktrail.settings.settings import Settings

VAULT_KEY = "vault-key"
"""The file of the key that seals secrets in the store."""

_SIGNS = ("keys.json", "clicktrail.db", "journal.db", "spool", VAULT_KEY)
"""What one of is in every data folder: a service makes the first before all else."""


def data_folder(settings: Settings) -> Path:
    """Return the data folder of a service that was started once. Raises `SettingError`.

    Nothing is made: a command in the wrong folder would answer from an empty database.
    """
    folder = settings.data.absolute()
    try:
        there = set(os.listdir(folder))  # noqa: PTH208 - names are enough
    except FileNotFoundError:
        there = set()
    except OSError as error:
        raise _unusable(settings, error) from None
    if there.isdisjoint(_SIGNS):
        raise SettingError(
            f"there is no data of Clicktrail in {folder} (data = {str(settings.data)!r}, from"
            f" {settings.source('data')}): say where it is with --data FOLDER, CLICKTRAIL_DATA or"
            " data in clicktrail.toml. `clicktrail serve` makes it at its first start"
        )
    return settings.data


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
    if url := settings.text("store.url"):
        return url
    return f"sqlite:///{settings.data.absolute() / 'clicktrail.db'}"


def vault(folder: Path) -> Vault:
    """Return the vault of a data folder; its key is made where there is none."""
    return Vault.of_file(folder / VAULT_KEY)


def secret_of(given: str, file: Path, make: Callable[[], str]) -> str:
    """Return a secret from the settings, or else from a file, where one is made at first use.

    Raises `SettingError` where the file cannot be used.
    """
    if given:
        return given
    try:
        if not file.exists():
            with suppress(FileExistsError):  # another process was first
                write_private(file, make().encode() + b"\n", replace=False)
        if secret := file.read_text(encoding="ascii").strip():
            return secret
    except OSError as error:
        raise SettingError(f"{file} cannot be used: {complaint(error, file)}") from None
    except UnicodeDecodeError:
        pass
    raise SettingError(
        f"{file} holds no secret, which is a line of ASCII: put it back from a backup, or delete"
        " the file, and a new one is made at the next start"
    )
