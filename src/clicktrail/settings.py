"""All settings, in one table: name, type, default, help.

A setting is given, the later winning, in ``clicktrail.toml``, in the environment
(``smtp.listen`` is ``CLICKTRAIL_SMTP_LISTEN``) and as a flag of ``clicktrail serve``
(``--smtp-listen``). A value that cannot be used raises `SettingError` with the setting's name, the
value, and what is expected.
"""

import os
import socket
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from clicktrail.errors import InvalidInput, SettingError
from clicktrail.kinds import (
    DAYS,
    FILE,
    HOST,
    HOSTS,
    JOURNAL,
    LISTEN,
    LISTEN_OR_NONE,
    NETWORKS,
    PATH,
    SETS,
    SMARTHOST,
    STORE,
    STREAM_NAME,
    TEXT,
    Setting,
    choice,
    seconds,
    whole,
)
from clicktrail.settings_streams import STREAM_SETTINGS
from clicktrail.token import TrackingHosts

T = TypeVar("T")
DEFAULT_FILE = Path("clicktrail.toml")


SETTINGS: tuple[Setting[Any], ...] = (
    Setting("data", PATH, "clicktrail-data", "Folder for the database, the journal and the keys."),
    Setting(
        "store.url",
        STORE,
        "",
        "PostgreSQL database that all nodes share: postgresql://user:password@host/database, with"
        " parameters of libpq such as ?sslmode=verify-full. A file in the data folder if empty.",
        secret=True,
    ),
    Setting(
        "smarthost.url",
        SMARTHOST,
        "",
        "Your mail server, which sends the emails on: smtp://host:port (STARTTLS as in"
        " smarthost.tls), smtps://host:port (TLS from the start), or maildir:PATH to try things:"
        " emails are written there and go nowhere.",
        flag="--smarthost",
    ),
    Setting(
        "smarthost.tls",
        choice("if-offered", "required", "never"),
        "if-offered",
        "STARTTLS with an smtp:// smarthost. With if-offered the certificate is not checked.",
    ),
    Setting(
        "smarthost.verify",
        choice("yes", "no"),
        "yes",
        "Check the smarthost's certificate (smtps://, or smarthost.tls = required).",
    ),
    Setting("smarthost.username", TEXT, "", "User name for AUTH at the smarthost."),
    Setting("smarthost.password", TEXT, "", "Password for AUTH at the smarthost.", secret=True),
    Setting(
        "smarthost.timeout",
        seconds(0.1, 600),
        "30",
        "How long one answer of the smarthost may take; then the sender gets 451.",
    ),
    Setting(
        "smarthost.connections",
        whole(1, 1000),
        "32",
        "How many connections to the smarthost may be open at once.",
    ),
    Setting("smtp.listen", LISTEN, "127.0.0.1:2525", "Where emails come in by SMTP."),
    Setting(
        "smtp.hostname",
        TEXT,
        "",
        "Name given in the SMTP greeting and in trace headers; the machine's name if empty.",
    ),
    Setting(
        "smtp.tls_certificate",
        FILE,
        "",
        "PEM file with the certificate chain: STARTTLS is offered.",
    ),
    Setting("smtp.tls_key", FILE, "", "PEM file with the certificate's private key."),
    Setting(
        "smtp.allow",
        NETWORKS,
        "127.0.0.0/8,::1/128",
        "Networks that may send without AUTH; everybody else must sign in.",
    ),
    Setting(
        "smtp.max_size",
        whole(1024, 1 << 30),
        "10485760",
        "The largest email taken, in bytes, by SMTP and by the API.",
    ),
    Setting(
        "identities.required",
        choice("auto", "yes", "no"),
        "auto",
        "Whether the From address and the envelope sender must belong to an identity. auto: as"
        " soon as there is one identity, others can no longer send.",
    ),
    Setting(
        "smtp.max_connections",
        whole(1, 100_000),
        "1000",
        "How many SMTP connections may be open at once; one more is answered 421.",
    ),
    Setting("smtp.timeout", seconds(1, 3600), "300", "How long an SMTP client may be silent."),
    Setting(
        "tracking.host",
        HOST,
        "",
        "Host (and port) of http tracking links, as the outside world sees it;"
        " redirect.listen if empty.",
    ),
    Setting(
        "tracking.https_host",
        HOST,
        "",
        "Host (and port) of https tracking links; tracking.host if empty, or, with both empty,"
        " redirect.tls_listen where that is set.",
    ),
    Setting(
        "tracking.scheme",
        choice("link", "http", "https"),
        "link",
        "Scheme of tracking links: the original link's, or always the same. http lets you try"
        " https links on a machine without a certificate.",
    ),
    Setting("redirect.listen", LISTEN, "127.0.0.1:8480", "Where clicks come in by http."),
    Setting(
        "redirect.tls_listen",
        LISTEN_OR_NONE,
        "",
        "Where clicks come in by https; needs redirect.tls_certificate.",
    ),
    Setting("redirect.tls_certificate", FILE, "", "PEM file with the certificate chain."),
    Setting("redirect.tls_key", FILE, "", "PEM file with the certificate's private key."),
    Setting(
        "redirect.trusted_proxies",
        NETWORKS,
        "",
        "Networks of your own proxies: only their X-Forwarded-For or Forwarded is believed.",
    ),
    Setting(
        "redirect.domains",
        HOSTS,
        "",
        "More domains that lead here, beside those of tracking.host and of the configuration sets:"
        " new ones before they are used, old ones whose links shall go on working.",
    ),
    Setting(
        "redirect.app_links",
        FILE,
        "",
        "Folder with a folder for each domain, which holds its apple-app-site-association and"
        " assetlinks.json: they are served to phones, so that apps may open links.",
    ),
    Setting(
        "node.name",
        TEXT,
        "",
        "What this node is called among several; if empty, its host name and data folder.",
    ),
    Setting(
        "journal.url",
        JOURNAL,
        "",
        "Where clicks are logged: nats://[user:password@]host:port[,host:port] for a stream of NATS"
        " JetStream that several nodes share; if empty, a file in the data folder.",
        secret=True,
    ),
    Setting(
        "journal.stream",
        STREAM_NAME,
        "clicktrail",
        "Name of the JetStream stream; it is made where there is none.",
    ),
    Setting(
        "journal.replicas",
        whole(1, 5),
        "1",
        "On how many NATS servers the stream is kept, when it is made; 3 outlives the loss of one.",
    ),
    Setting(
        "journal.timeout",
        seconds(0.01, 60),
        "0.25",
        "How long a click may wait for the journal before it goes to the local spool.",
    ),
    Setting(
        "journal.queue",
        whole(1, 1_000_000),
        "20000",
        "How many clicks may wait for the journal at once; more go to the local spool.",
    ),
    Setting(
        "api.listen",
        LISTEN,
        "127.0.0.1:8482",
        "Where the HTTP API listens (the built-in stream is read there).",
    ),
    Setting(
        "api.token",
        TEXT,
        "",
        "Bearer token of the HTTP API; if empty, one is made in the data folder (api-token).",
        secret=True,
    ),
    Setting(
        "console.listen",
        LISTEN,
        "127.0.0.1:8484",
        "Where the console listens, in plain http: end TLS in front of it for other machines.",
    ),
    Setting(
        "metrics.listen",
        LISTEN_OR_NONE,
        "127.0.0.1:8483",
        "Where /metrics (Prometheus), /healthz and /readyz are answered; nowhere if empty.",
    ),
    Setting(
        "privacy.ip",
        choice("full", "truncate", "none"),
        "full",
        "How much of a clicking person's address is kept and told: all of it, its network (/24, or"
        " /48 of IPv6), or nothing.",
    ),
    Setting(
        "privacy.user_agent",
        choice("full", "family", "none"),
        "full",
        "How much of a User-Agent is kept and told: all of it, the browser's family, or nothing.",
    ),
    Setting(
        "retention.messages",
        DAYS,
        "60",
        "How long addresses, headers and links of emails are kept. Links work for ever.",
    ),
    Setting(
        "retention.clicks",
        DAYS,
        "60",
        "How long single clicks are kept. What was counted stays.",
    ),
    Setting(
        "retention.events",
        DAYS,
        "60",
        "How long events of built-in streams, and dead letters, are kept.",
    ),
    Setting(
        "retention.origins",
        DAYS,
        "0",
        "How long it is known where an email belongs and which of its links were clicked: never"
        " shorter than emails and clicks themselves. Later clicks are redirected and counted, but"
        " for no configuration set, and tell nobody.",
    ),
    Setting(
        "machine.networks_file",
        FILE,
        "",
        "File with networks of machines that look at links, one (CIDR) a line, # begins a comment:"
        " clicks from there are a machine's. They are added to those that Clicktrail knows.",
    ),
    Setting(
        "machine.honeypot",
        SETS,
        "",
        "Configuration sets whose emails get a hidden link: who follows it is a machine.",
    ),
    Setting(
        "publish.retry_for",
        seconds(0, 30 * 86400),
        "86400",
        "How long a notification is retried before it becomes a dead letter.",
    ),
    Setting(
        "publish.retry_first",
        seconds(0.01, 3600),
        "1",
        "Wait before the first retry; it doubles with each one, with jitter.",
    ),
    Setting(
        "publish.retry_most", seconds(0.01, 86400), "3600", "The longest wait between retries."
    ),
    Setting(
        "webhook.secret",
        TEXT,
        "",
        "Signing secret (whsec_…) of webhooks; if empty, one is made in the data folder"
        " (webhook-secret).",
        secret=True,
    ),
    Setting(
        "webhook.timeout",
        seconds(0.1, 300),
        "10",
        "How long a webhook may take to answer, or a data stream to take a batch.",
    ),
    Setting(
        "webhook.allow",
        NETWORKS,
        "",
        "Loopback, private and link-local networks that webhooks, and endpoints of arn:yc:yds, may"
        " be in, then also without TLS. All others of that kind are refused.",
    ),
    *STREAM_SETTINGS,
    Setting(
        "log.level",
        choice("debug", "info", "warning", "error"),
        "info",
        "The least level that is logged.",
    ),
    Setting(
        "log.format",
        choice("auto", "json", "text"),
        "auto",
        "Log lines as JSON or as text; auto: text on a terminal, JSON elsewhere.",
    ),
)

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
                raise SettingError(
                    f"unknown setting {name!r} in {source}: see `clicktrail settings` for all"
                )
        self._sources = {name: source for name, (_, source) in given.items()}
        self._texts = {s.name: given.get(s.name, (s.default, ""))[0] for s in SETTINGS}
        self._values = {s.name: self._parse(s, self._texts[s.name]) for s in SETTINGS}
        self._check()

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def text(self, name: str) -> str:
        """Return a setting as it was written."""
        return self._texts[name]

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
        """Where tracking links point."""
        http = self["tracking.host"] or str(self["redirect.listen"])
        secure = self["tracking.https_host"]
        if not secure and not self["tracking.host"] and self["redirect.tls_listen"]:
            secure = str(self["redirect.tls_listen"])
        scheme = self["tracking.scheme"]
        return TrackingHosts(http, secure or http, None if scheme == "link" else scheme)

    def _parse(self, setting: Setting[T], text: str) -> T:
        try:
            return setting.kind.parse(text.strip())
        except (ValueError, InvalidInput):
            shown = "(hidden)" if setting.secret else repr(text)
            raise SettingError(
                f"{setting.name} = {shown} (from {self.source(setting.name)}) cannot be used:"
                f" expected {setting.kind.expects}"
            ) from None

    def _check(self) -> None:
        for first, second in (
            ("smtp.tls_certificate", "smtp.tls_key"),
            ("redirect.tls_certificate", "redirect.tls_key"),
            ("redirect.tls_listen", "redirect.tls_certificate"),
            ("redirect.tls_certificate", "redirect.tls_listen"),
            ("smarthost.username", "smarthost.password"),
            ("kinesis.access_key_id", "kinesis.secret_access_key"),
            ("kafka.username", "kafka.password"),
            ("nats.username", "nats.password"),
            ("nats.tls_certificate", "nats.tls_key"),
        ):
            if self[first] and not self[second]:
                raise SettingError(f"{first} is set, so {second} is needed too: it is empty")
        for name in (s.name for s in SETTINGS if s.kind is FILE and s.name.endswith(_READ)):
            path = self[name]
            if path is not None and not os.access(path, os.R_OK):
                raise SettingError(
                    f"{name} = {str(path)!r} (from {self.source(name)}) cannot be used:"
                    " expected a file that can be read"
                )


def load_settings(
    flags: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Gather the settings from the file, the environment and the flags, the later winning.

    ``file`` must exist when given; else ``clicktrail.toml`` of the working folder is read where
    there is one. Raises `SettingError`.
    """
    texts: dict[str, tuple[str, str]] = {}
    env = os.environ if environment is None else environment
    named = file or (Path(env["CLICKTRAIL_CONFIG"]) if env.get("CLICKTRAIL_CONFIG") else None)
    path = named or DEFAULT_FILE
    if named is not None or path.exists():
        for name, text in _read_file(path):
            texts[name] = (text, str(path))
    for setting in SETTINGS:
        if setting.environment in env:
            texts[setting.name] = (env[setting.environment], setting.environment)
    for name, text in (flags or {}).items():
        setting = _BY_NAME[name]
        texts[name] = (text, setting.flag)
    return Settings(texts)


def _read_file(path: Path) -> Iterable[tuple[str, str]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} is not TOML: {error}") from None
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
