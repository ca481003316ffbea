"""Reads ``clicktrail.toml``."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clicktrail.base.complaints import complaint
from clicktrail.base.redact import reason_of
from clicktrail.errors import SettingError


def read_file(path: Path) -> Iterable[tuple[str, str]]:
    """Return the settings in a file, each with its text. Raises `SettingError`."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {complaint(error, path)}") from None
    except UnicodeDecodeError:
        raise SettingError(f"{path} is not TOML: expected UTF-8, save it as that") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path} is not TOML: {reason_of(error)}") from None
    except RecursionError:
        raise SettingError(f"{path} cannot be read: it is nested too deep") from None
    return _flatten(tables, "", path)


def _flatten(tables: Mapping[str, Any], prefix: str, path: Path) -> Iterable[tuple[str, str]]:
    for key, value in tables.items():
        name = prefix + key
        if isinstance(value, dict):
            yield from _flatten(value, name + ".", path)
        elif isinstance(value, bool):
            yield name, "yes" if value else "no"
        elif isinstance(value, list):
            yield name, ",".join(str(item) for item in value)
        elif isinstance(value, str | int | float):
            yield name, str(value)
        else:
            raise SettingError(f"{name} in {path} is a date: expected a text or a number")
