"""Says which setting is at fault where a door cannot be opened: a part of the composition root."""

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from clicktrail.doors.sockets import check_free
from clicktrail.errors import SettingError
from clicktrail.settings.kinds import Address, SocketPath
from clicktrail.settings.settings import Settings

_DOORS = {
    "smtp": ("smtp.listen", "smtp.tls_listen"),
    "milter": ("milter.listen",),
    "redirect": ("redirect.listen", "redirect.tls_listen"),
    "api": ("api.listen",),
    "console": ("console.listen",),
}
"""The settings that say where a role listens."""

_WHY = {
    errno.EADDRINUSE: "another program listens there (`ss -ltnp` names it): stop that, or choose"
    " another port",
    errno.ENOENT: "make its folder first",
    errno.EEXIST: "there is a file of that name that is no socket",
    errno.EADDRNOTAVAIL: "that address is none of this machine's (`ip address` names them; 0.0.0.0"
    " stands for all)",
    errno.EAFNOSUPPORT: "this machine has no addresses of that kind",
}
_PRIVILEGED = (
    "ports below {first} are for privileged programs: choose another, or allow it"
    " (AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit)"
)


def check_doors(settings: Settings, roles: Sequence[str]) -> None:
    """See that every address of these roles can be listened on. Raises `SettingError`.

    One process asks, before there are others: so it is said once, and before anything is begun.
    """
    names = [name for role in roles for name in _DOORS.get(role, ())]
    for name in (*names, "metrics.listen"):
        if (address := settings[name]) is not None:
            with opening(settings, name):
                if isinstance(address, SocketPath):
                    check_free(address.path)
                else:
                    _try(address)


@contextmanager
def opening(settings: Settings, *names: str) -> Iterator[None]:
    """Turn the `OSError` of a server that cannot listen into a `SettingError`."""
    try:
        yield
    except OSError as error:
        told = " and ".join(
            f"{name} = {settings.text(name)} (from {settings.source(name)})"
            for name in names
            if settings.text(name)
        )
        port = min((settings[name].port for name in names if settings[name]), default=0)
        raise SettingError(f"{told} cannot be listened on: {_complaint(error, port)}") from None


def _try(address: Address) -> None:
    """Bind to all addresses that a name stands for, as asyncio does."""
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    for family, kind, protocol, _, place in dict.fromkeys(found):
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            trial.bind(place)


def _complaint(error: OSError, port: int) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name does not resolve ({error.strerror})"
    number = error.errno or 0
    said = os.strerror(number) if number > 0 else str(error)
    if number in (errno.EACCES, errno.EPERM) and 0 < port < (first := _first_free_port()):
        return f"{said}: {_PRIVILEGED.format(first=first)}"
    return f"{said}: {_WHY[number]}" if number in _WHY else said


def _first_free_port() -> int:
    """Return the first port that everybody may listen on."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    return 1024
