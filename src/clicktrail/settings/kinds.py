"""The types of settings: how a text becomes a value, and how to say what is expected."""

import ipaddress
import os
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from clicktrail.base.hostname import host_name, smtp_name, tracking_host
from clicktrail.model import check_name
from clicktrail.settings.urls import ServerUrl, UrlUnusable, read_url

T = TypeVar("T")
IDENT = "ESMTP Clicktrail"
"""What our SMTP greeting says behind the host's name."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to listen on or connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True)
class SocketPath:
    """A socket in the file system to listen on."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"

    @property
    def port(self) -> int:
        """None: 0."""
        return 0


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A type of setting. ``parse`` raises `ValueError` or `InvalidInput`."""

    expects: str
    parse: Callable[[str], T]


MOST_WORKERS = 128
ENVIRONMENT_PREFIX = "CLICKTRAIL_"


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One row of the table of settings. ``default`` is a text, as a user would write it."""

    name: str
    kind: Kind[T]
    default: str
    help: str
    secret: bool = False
    flag: str = ""
    """Its flag of ``clicktrail serve``."""

    def __post_init__(self) -> None:
        if not self.flag:
            flag = "--" + self.name.replace(".", "-").replace("_", "-")
            object.__setattr__(self, "flag", flag)

    @property
    def environment(self) -> str:
        """Its environment variable."""
        return ENVIRONMENT_PREFIX + self.name.upper().replace(".", "_")


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError
    is_literal = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_literal else host
    # Without brackets, `2001:db8::1` would be its port 1.
    if not host or any(c.isspace() or c in "/@[]" for c in host) or (":" in host) != is_literal:
        raise ValueError
    return Address(host, int(port))


def _address_or_socket(text: str) -> Address | SocketPath:
    if text.startswith(("unix:", "local:")):
        path = _path(text.partition(":")[2])
        # unix(7): a name has 107 bytes; it is made beside it first, as `ListeningSocket` does.
        if not path.is_absolute() or len(bytes(path)) > 95:
            raise ValueError
        return SocketPath(path)
    return _address(text.removeprefix("inet:"))


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError
    try:
        return Path(text).expanduser()  # the shell leaves --data=~/clicktrail as it is
    except RuntimeError:  # nobody has a home of that name
        raise ValueError from None


def _optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda text: parse(text) if text else None


def whole(low: int, high: int) -> Kind[int]:
    """Whole numbers."""

    def parse(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise ValueError
        return number

    return Kind(f"a whole number from {low} to {high}", parse)


def workers() -> Kind[int]:
    """Numbers of processes; ``auto`` is one for each core that this process may use."""

    def parse(text: str) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        number = cores or 1 if text == "auto" else int(text)
        if not 1 <= number <= MOST_WORKERS:
            raise ValueError
        return number

    return Kind(f"a whole number from 1 to {MOST_WORKERS}, or auto", parse)


def seconds(low: float, high: float) -> Kind[float]:
    """Times in seconds."""

    def parse(text: str) -> float:
        number = float(text)
        if not low <= number <= high:
            raise ValueError
        return number

    return Kind(f"seconds, from {low:g} to {high:g}", parse)


def choice(*words: str) -> Kind[str]:
    """One of some words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Kind("one of: " + ", ".join(words), parse)


def _days(text: str) -> int:
    days = 0 if text == "off" else int(text)
    if not 0 <= days <= 36_500:
        raise ValueError
    return days


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(host_name(part.strip()) for part in text.split(",") if part.strip())


def _servers(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for server in found:
        literal = server.rpartition("]")[2]  # an IPv6 address has colons of its own
        if any(c.isspace() or c in "/@" for c in server) or server.startswith(":"):
            raise ValueError
        if ":" in literal and _address(server).port == 0:
            raise ValueError
    return found


def _endpoint(text: str) -> str:
    if text:
        elsewhere = "access key and secret have settings of their own"
        url = read_url(text, ("http", "https"), login_elsewhere=elsewhere)
        _need_host(url)
        if "?" in url.rest or "#" in url.rest:
            raise UrlUnusable("it may have no query")
    return text


def _web_page(text: str) -> str:
    if text:
        read_url(text, ("https", "http"))
    return text


def _sets(text: str) -> frozenset[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    return frozenset(n if n == "*" else check_name(n, "configuration set name") for n in names)


def _smarthost(text: str) -> str:
    if text.startswith("maildir:"):
        _path(text.removeprefix("maildir:"))
    elif text:
        smarthost_url(text)
    return text


def smarthost_url(text: str) -> ServerUrl:
    """Return the parts of the URL of a mail server. Raises `UrlUnusable`."""
    elsewhere = "user name and password have settings of their own"
    url = read_url(text, ("smtp", "smtps"), login_elsewhere=elsewhere)
    _need_host(url)
    _need_no_path(url)
    return url


def _journal(text: str) -> str:
    if text:
        url = read_url(text, ("nats", "tls"), several=True)
        _need_host(url)
        _need_no_path(url)
    return text


def _need_host(url: ServerUrl) -> None:
    if not all(host for host, _ in url.hosts):
        raise UrlUnusable("it names no host")


def _need_no_path(url: ServerUrl) -> None:
    if url.rest.strip("/"):
        raise UrlUnusable("nothing may follow host and port")


def _stream_name(text: str) -> str:
    if not text or not set(text) <= set(string.ascii_letters + string.digits + "_-"):
        raise ValueError(text)
    return text


def _store(text: str) -> str:
    if text:
        url = read_url(text, ("postgresql",))  # without a host it is a socket of this machine
        if not url.rest.partition("?")[0].strip("/"):
            raise UrlUnusable("it names no database")
    return text


TEXT = Kind("a text", str)
PATH = Kind("a path", _path)
FILE = Kind("a path, or nothing", _optional(_path))
SECRET_FILE = Kind("a path, or nothing", _optional(_path))
LISTEN = Kind("host:port (for IPv6 [address]:port)", _address)
LISTEN_OR_NONE = Kind("host:port (for IPv6 [address]:port), or nothing", _optional(_address))
LISTEN_OR_SOCKET = Kind(
    "host:port, inet:host:port, unix:/path (up to 95 bytes), or nothing",
    _optional(_address_or_socket),
)
HOST = Kind(
    "a host name with an optional port, or nothing", lambda t: tracking_host(t) if t else ""
)
SMTP_NAME = Kind("a host name, or nothing", lambda t: smtp_name(t) if t else "")
NETWORKS = Kind("networks separated by commas, such as 10.0.0.0/8,::1/128", _networks)
HOSTS = Kind("host names separated by commas", _hosts)
SETS = Kind("names of configuration sets separated by commas, or * for all", _sets)
DAYS = Kind("days, a whole number up to 36500; 0 or off: for ever", _days)
SERVERS = Kind("servers (host:port) separated by commas", _servers)
ENDPOINT = Kind("an http:// or https:// URL, or nothing", _endpoint)
WEB_PAGE = Kind("an http:// or https:// URL, or nothing", _web_page)
JOURNAL = Kind("nats://host:port[,host:port], or nothing", _journal)
STREAM_NAME = Kind("letters, digits, '_' and '-'", _stream_name)
SMARTHOST = Kind("smtp://host:port, smtps://host:port or maildir:PATH", _smarthost)
STORE = Kind("postgresql://user:password@host/database, or nothing", _store)
