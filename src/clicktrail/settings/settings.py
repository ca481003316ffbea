"""The settings in force: gathered from the file, the environment and the flags, and checked.

A setting is given, the later winning, in ``clicktrail.toml``, in the environment
(``smtp.listen`` is ``CLICKTRAIL_SMTP_LISTEN``) and as a flag of ``clicktrail serve``
(``--smtp-listen``). A secret may stand in a file of its own (`secret_files`). A value that cannot
be used raises `SettingError` with the setting's name, the value, and what is expected.
"""

import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from clicktrail.base.complaints import complaint
from clicktrail.base.redact import HIDDEN, without_login
from clicktrail.errors import InvalidInput, SettingError
from clicktrail.keys.token import TrackingHosts
from clicktrail.settings.arguments import is_text
from clicktrail.settings.file import read_file
from clicktrail.settings.kinds import FILE, Address, Setting
from clicktrail.settings.secret_files import CREDENTIALS, beside, credentials, read_secret
from clicktrail.settings.table import SETTINGS
from clicktrail.settings.tracking import tracking_hosts
from clicktrail.settings.urls import UrlUnusable
from clicktrail.settings.variables import check_variables, meant

T = TypeVar("T")
DEFAULT_FILE = Path("clicktrail.toml")
CONFIG_VARIABLE = "CLICKTRAIL_CONFIG"
"""Names another file."""

_READ = ("_certificate", "_key", ".tls_ca", ".credentials_file", ".options_file")
"""How names of settings end whose files must be readable from the start."""
_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Settings:
    """The settings in force. `get` gives a parsed value, `source` tells where it was given."""

    def __init__(self, texts: Mapping[str, tuple[str, str]] | None = None) -> None:
        """Take texts by setting name, each with its source. Raises `SettingError`."""
        given = texts or {}
        for name, (_, source) in given.items():
            if name not in _BY_NAME:
                raise SettingError(f"unknown setting {name!r} in {source}: {meant(name, _BY_NAME)}")
        self._sources = {name: source for name, (_, source) in given.items()}
        self._texts = {s.name: given.get(s.name, (s.default, ""))[0] for s in SETTINGS}
        for setting in SETTINGS:
            if setting.secret:
                self._read_secret(setting.name)
        self._values = {s.name: self._parse(s, self._texts[s.name]) for s in SETTINGS}
        self._check()

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def text(self, name: str) -> str:
        """Return a setting as it was written."""
        return self._texts[name]

    def shown(self, name: str) -> str:
        """Return a setting as it may be shown: no password is in it."""
        text = self._texts[name]
        return HIDDEN if text and _BY_NAME[name].secret else without_login(text)

    def source(self, name: str) -> str:
        """Return where a setting was given; ``default`` where it was not."""
        return self._sources.get(name, "default")

    def given(self) -> dict[str, str]:
        """Return the settings that were given, as texts."""
        return {name: self._texts[name] for name in self._sources}

    @property
    def data(self) -> Path:
        """The data folder."""
        return cast(Path, self["data"])

    @property
    def hostname(self) -> str:
        """The name this machine goes by in SMTP."""
        return cast(str, self["smtp.hostname"]) or socket.getfqdn()

    @property
    def tracking_hosts(self) -> TrackingHosts:
        """Where tracking links point: see `tracking_hosts`."""
        return tracking_hosts(self)

    def _read_secret(self, name: str) -> None:
        """Take a secret from its file, where one is named. Raises `SettingError`."""
        file = beside(name)
        path = self._parse(_BY_NAME[file], self._texts[file])
        if path is None:
            return
        source = self.source(file)
        if self._texts[name].strip():
            both = f"{name} (from {self.source(name)}) and {file} (from {source}) are both given"
            raise SettingError(f"{both}: leave one out")
        self._texts[name] = read_secret(file, path, source)
        self._sources[name] = str(path)

    def _parse(self, setting: Setting[T], text: str) -> T:
        try:
            return setting.kind.parse(text.strip())
        except (ValueError, InvalidInput) as error:
            given = isinstance(error, InvalidInput) and not setting.secret
            given = given or isinstance(error, UrlUnusable)
            why = f" ({without_login(str(error))})" if given else ""
            shown = HIDDEN if setting.secret else repr(without_login(text))
            raise SettingError(
                f"{setting.name} = {shown} (from {self.source(setting.name)}) cannot be used:"
                f" expected {setting.kind.expects}{why}"
            ) from None

    def _check(self) -> None:
        for first, second in (
            ("smtp.tls_certificate", "smtp.tls_key"),
            ("redirect.tls_certificate", "redirect.tls_key"),
            ("smtp.tls_listen", "smtp.tls_certificate"),
            *([] if self["acme.email"] else [("redirect.tls_listen", "redirect.tls_certificate")]),
            ("acme.email", "redirect.tls_listen"),
            ("acme.eab_key_id", "acme.eab_mac_key"),
            ("acme.eab_mac_key", "acme.eab_key_id"),
            ("redirect.tls_certificate", "redirect.tls_listen"),
            ("smarthost.username", "smarthost.password"),
            ("smtp.tls_key", "smtp.tls_certificate"),
            ("redirect.tls_key", "redirect.tls_certificate"),
            ("kinesis.access_key_id", "kinesis.secret_access_key"),
            ("kafka.username", "kafka.password"),
            ("nats.username", "nats.password"),
            ("nats.tls_certificate", "nats.tls_key"),
            ("nats.tls_key", "nats.tls_certificate"),
        ):
            if self[first] and not self[second]:
                given = f"{first} is set (from {self.source(first)})"
                raise SettingError(f"{given}, so {second} is needed too: it is empty")
        self._check_ports()
        self._check_workers()
        for name in (s.name for s in SETTINGS if s.kind is FILE and s.name.endswith(_READ)):
            if (path := self[name]) is None:
                continue
            try:
                with path.open("rb"):
                    pass
            except OSError as error:
                raise SettingError(
                    f"{name} = {str(path)!r} (from {self.source(name)}) cannot be used: expected a"
                    f" file that can be read ({complaint(error, path)})"
                ) from None

    def workers(self, role: str) -> int:
        """Return how many processes a role has."""
        name = f"{role}.workers"
        return cast(int, self[name]) if name in _BY_NAME else 1

    def _check_workers(self) -> None:
        """Raise `SettingError` where several processes would each choose a port of their own."""
        for setting in SETTINGS:
            role = setting.name.partition(".")[0]
            if setting.name.endswith("listen") and self.workers(role) > 1:
                address = self[setting.name]
                if isinstance(address, Address) and not address.port:
                    raise SettingError(
                        f"{role}.workers is {self.workers(role)}, so {setting.name} needs a port:"
                        f" it is {address}"
                    )

    def _check_ports(self) -> None:
        """Raise `SettingError` where two of our own doors are at the same place."""
        taken: dict[Address, str] = {}
        for setting in SETTINGS:
            address = self[setting.name] if setting.name.endswith("listen") else None
            if address is None or not address.port:
                continue
            if address in taken:
                both = f"{taken[address]} and {setting.name} are both {address}"
                raise SettingError(f"{both}: give each a port of its own")
            taken[address] = setting.name


def load_settings(
    flags: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Gather the settings: file, systemd's credentials, environment, flags, the later winning.

    ``file`` must exist when given; else ``clicktrail.toml`` of the working folder is read where
    there is one. Raises `SettingError`.
    """
    layers: list[dict[str, tuple[str, str]]] = []
    env = os.environ if environment is None else environment
    for name in (CONFIG_VARIABLE, *(setting.environment for setting in SETTINGS)):
        if not is_text(env.get(name, "")):  # its value may be secret
            raise SettingError(
                f"the value of {name} in the environment is not in UTF-8, which all names and paths"
                " must be: write it so (see `locale`), or rename the file"
            )
    named = file or (Path(env[CONFIG_VARIABLE]) if env.get(CONFIG_VARIABLE) else None)
    path = named or DEFAULT_FILE
    if named is not None or path.exists():
        layers.append({name: (text, str(path)) for name, text in read_file(path)})
    check_variables(env, {CONFIG_VARIABLE, *(setting.environment for setting in SETTINGS)})
    layers.append({name: (text, CREDENTIALS) for name, text in credentials(env, SETTINGS)})
    layers.append(
        {s.name: (env[s.environment], s.environment) for s in SETTINGS if s.environment in env}
    )
    layers.append({name: (text, _BY_NAME[name].flag) for name, text in (flags or {}).items()})
    return Settings(_merged(layers))


def _merged(layers: Iterable[Mapping[str, tuple[str, str]]]) -> dict[str, tuple[str, str]]:
    """Return the texts in force, the later layer winning: a secret over its file too, or this."""
    texts: dict[str, tuple[str, str]] = {}
    for layer in layers:
        for secret in (setting.name for setting in SETTINGS if setting.secret):
            for name, other in ((secret, beside(secret)), (beside(secret), secret)):
                if layer.get(name, ("", ""))[0]:
                    texts.pop(other, None)
        texts |= layer
    return texts
