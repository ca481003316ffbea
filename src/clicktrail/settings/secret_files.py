"""Secrets in files of their own: ``smarthost.password_file`` beside ``smarthost.password``.

Every secret setting has one. Containers mount secrets as files; systemd hands them over in a folder
(``LoadCredential=smarthost.password:/etc/…``, systemd.exec(5)), whose files are taken by the names
of settings.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clicktrail.base.complaints import complaint
from clicktrail.errors import SettingError
from clicktrail.settings.kinds import FILE, SECRET_FILE, Setting
from clicktrail.settings.variables import meant

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Where systemd puts them."""

LARGEST = 64 * 1024
"""Bytes of a secret."""

_ENDING = "_file"


def with_file(setting: Setting[Any]) -> tuple[Setting[Any], ...]:
    """Return a setting, and behind a secret one that of its file."""
    if not setting.secret:
        return (setting,)
    help_ = f"File whose only line is {setting.name}, which then is not given itself."
    flag = f"{setting.flag}-file"
    return setting, Setting(setting.name + _ENDING, SECRET_FILE, "", help_, flag=flag)


def beside(name: str) -> str:
    """Return the name of the setting of a secret's file."""
    return name + _ENDING


def read_secret(setting: str, path: Path, source: str) -> str:
    """Return the line in a secret's file. Raises `SettingError`, which tells none of it."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise _unusable(setting, path, source, complaint(error, path)) from None
    try:
        text = raw.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _unusable(setting, path, source, "it is not in UTF-8") from None
    if len(raw) > LARGEST:
        raise _unusable(setting, path, source, f"it has more than {LARGEST} bytes")
    if not text.strip():
        raise _unusable(setting, path, source, "it is empty")
    if not text.isprintable():
        raise _unusable(setting, path, source, "it has more than one line, or control characters")
    return text


def credentials(
    environment: Mapping[str, str], settings: Sequence[Setting[Any]]
) -> Iterable[tuple[str, str]]:
    """Yield the settings that systemd's credentials name, each with its text: the path of a file.

    Credentials with other names are not for us. Raises `SettingError` for one that is named like a
    setting, and names none that can be in a file.
    """
    if not (named := environment.get(CREDENTIALS)):
        return
    secret = {each.name for each in settings if each.secret}
    files = {each.name for each in settings if each.kind in (FILE, SECRET_FILE)}
    sections = {each.name.partition(".")[0] for each in settings if "." in each.name}
    try:
        names = sorted(path.name for path in Path(named).iterdir())
    except OSError as error:
        raise SettingError(
            f"{named} (from {CREDENTIALS}) cannot be read: {complaint(error, named)}"
        ) from None
    for name in names:
        section, dot, _ = name.partition(".")
        if name in secret or name in files:
            yield beside(name) if name in secret else name, str(Path(named, name))
        elif dot and section in sections:
            raise SettingError(
                f"the credential {name} (from {CREDENTIALS}) names no secret and no file:"
                f" {meant(name, secret | files)}"
            )


def _unusable(setting: str, path: Path, source: str, why: str) -> SettingError:
    return SettingError(
        f"{setting} = {str(path)!r} (from {source}) cannot be used: expected a file that can be"
        f" read, with one line ({why})"
    )
