"""Where tracking links point: the settings, and what follows from them."""

from typing import Any, Protocol

from clicktrail.base.hostname import host_name, is_unspecified, may_be_certified
from clicktrail.errors import SettingError
from clicktrail.keys.token import TrackingHosts
from clicktrail.settings.kinds import HOST, Address, Setting, choice

SEALING = frozenset({"smtp", "milter", "api", "console"})
"""Roles that make tracking links."""

TRACKING_SETTINGS: tuple[Setting[Any], ...] = (
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
        "Host (and port) of https tracking links, where a proxy serves them; with"
        " redirect.tls_listen and empty: tracking.host at that port.",
    ),
    Setting(
        "tracking.without_https",
        choice("http", "untracked", "trust"),
        "http",
        "What becomes of https links while nobody is known to serve https (neither"
        " redirect.tls_listen nor tracking.https_host is set): their tracking links are http"
        " (http); they stay as they are (untracked); or their tracking links are https all the"
        " same, as something serves it under tracking.host (trust).",
    ),
    Setting(
        "tracking.scheme",
        choice("link", "http", "https"),
        "link",
        "Scheme of tracking links: the original link's, or always the same.",
    ),
)


class Given(Protocol):
    """The settings in force, by name."""

    def __getitem__(self, name: str) -> Any: ...


def tracking_hosts(settings: Given) -> TrackingHosts:
    """Return where tracking links point; no https where nobody is known to serve it."""
    host = settings["tracking.host"]
    http = host or str(settings["redirect.listen"])
    secure: str = settings["tracking.https_host"]
    own: Address | None = settings["redirect.tls_listen"]
    without = settings["tracking.without_https"]
    if not secure and own is not None:
        secure = _at_port(host, own.port) if host else str(own)
    if not secure and without == "trust":
        secure = http
    scheme = settings["tracking.scheme"]
    return TrackingHosts(
        http, secure, None if scheme == "link" else scheme, downgrade=without == "http"
    )


def _at_port(host: str, port: int) -> str:
    """Return where https is served: a host that is named without a port has https at its own."""
    name, colon, given = host.rpartition(":")
    if not (colon and given.isdigit()):
        return host
    return name if port == 443 else f"{name}:{port}"


def check_links(settings: Given) -> None:
    """See that tracking links lead somewhere. Raises `SettingError`."""
    hosts = tracking_hosts(settings)
    if hosts.scheme == "https" and not hosts.https:
        raise SettingError(
            "tracking.scheme = https, but nobody is known to serve https: set redirect.tls_listen,"
            " or tracking.https_host to where a proxy serves it"
        )
    by_acme = hosts.https and settings["acme.email"] and not settings["redirect.tls_certificate"]
    if by_acme and not may_be_certified(name := host_name(hosts.https)):
        raise SettingError(
            f"acme.email is set, but no authority certifies {name}, where https links would lead:"
            " name the host that leads here, for example --tracking-host click.example.com, or give"
            " it a certificate with redirect.tls_certificate"
        )
    for host, listener in ((hosts.http, "redirect.listen"), (hosts.https, "redirect.tls_listen")):
        name, _, port = host.rpartition(":")
        if host and (is_unspecified(name) or port == "0"):
            raise SettingError(
                f"tracking links would point to {host} ({listener}), where nobody can go: name the"
                " host that leads here, for example --tracking-host click.example.com"
            )


def describe_links(settings: Given) -> list[str]:
    """Return lines that say where tracking links point, and what becomes of https links."""
    hosts = tracking_hosts(settings)
    told = "links      " + " ".join(
        f"{scheme}://{host}/c/…"
        for scheme, host in (("http", hosts.http), ("https", hosts.https))
        if host and hosts.scheme in (None, scheme)
    )
    if hosts.https or hosts.scheme is not None:
        return [told]
    become = "get http tracking links" if hosts.downgrade else "stay untracked"
    return [
        told,
        f"           nobody is known to serve https, so https links {become}",
        "           (tracking.without_https): set redirect.tls_listen, or tracking.https_host",
        "           to where a proxy serves it",
    ]
