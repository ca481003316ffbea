"""Sees that the smarthost is one."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from clicktrail.base.complaints import complaint
from clicktrail.base.hostname import is_known_to_others
from clicktrail.base.logs import get_logger
from clicktrail.errors import ClicktrailError, SettingError, SmarthostIsOurselves
from clicktrail.relay import smarthost_place
from clicktrail.relay.maildir import MaildirSmarthost, try_maildir
from clicktrail.relay.smarthost import SmtpSmarthost
from clicktrail.service.checks import check_authorities
from clicktrail.settings.kinds import Address
from clicktrail.settings.settings import Settings

log = get_logger(__name__)

SENDING = frozenset({"smtp", "api"})
"""Roles that hand emails on."""
GREETING_SECONDS = 8.0
"""How long it may take to be greeted; less than a try may take (`Checkup`)."""
GREET_AGAIN = 12
"""Looks (of 5 seconds each) until a smarthost that was ourselves is asked again."""


def check_smarthost(settings: Settings) -> None:
    """See that emails can leave, as far as this machine alone decides. Raises `SettingError`.

    Warns where the smarthost may refuse the name that it is given (`504`).
    """
    check_authorities(settings, "smarthost")
    if not settings.text("smarthost.url"):
        return
    place = smarthost_place(settings)
    if isinstance(place, Path):
        _check_maildir(settings, place)
    # One on this machine goes by the address.
    elif not _is_this_machine(place.host) and not is_known_to_others(settings.hostname):
        _warn_of(settings.hostname)


def check_own(settings: Settings) -> None:
    """See that the smarthost is not this service's own door. Raises `SettingError`."""
    place = smarthost_place(settings)
    if isinstance(place, Address) and place.port == settings["smtp.listen"].port:
        with suppress(OSError):  # a name may come to resolve: `SmarthostCheck` goes on
            _check_own(settings, _resolved(place))


@cache  # once, for all roles that send
def _warn_of(name: str) -> None:
    log.warning(
        "this server has no name that others can look up: the smarthost may refuse it; set"
        " smtp.hostname to one such as mail.example.com",
        name=name,
    )


def _is_this_machine(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


class SmarthostCheck:
    """Looks now and then whether emails can leave: a try of `Checkup`.

    A mail server's name must resolve and it must not be ourselves; it is greeted once, and asked
    again only where it was ourselves or refused us: when it is down, its emails are told, and it
    may mind the greetings.
    """

    def __init__(self, settings: Settings, smarthost: SmtpSmarthost | MaildirSmarthost) -> None:
        self._settings = settings
        self._smarthost = smarthost
        self._place = smarthost_place(settings)
        self._ourselves: SmarthostIsOurselves | None = None
        self._wait = 0

    async def look(self) -> None:
        """Raises `ClicktrailError` where emails cannot leave."""
        if isinstance(self._place, Path):
            await asyncio.to_thread(_check_maildir, self._settings, self._place)
            return
        found = await asyncio.to_thread(self._resolve, self._place)
        if self._place.port == self._settings["smtp.listen"].port:
            await asyncio.to_thread(_check_own, self._settings, found)
        if self._wait == 0:
            await self._greet()
        elif self._ourselves is not None or self._is_refused():
            self._wait -= 1
        if self._ourselves is not None:
            raise self._ourselves

    def _is_refused(self) -> bool:
        return isinstance(self._smarthost, SmtpSmarthost) and self._smarthost.refuses_us

    def _resolve(self, place: Address) -> list[str]:
        try:
            return _resolved(place)
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no host name"
            raise ClicktrailError(
                f"smarthost.url = {self._settings.shown('smarthost.url')}: the name {place.host}"
                f" does not resolve ({why}): no email can leave"
            ) from None

    async def _greet(self) -> None:
        assert isinstance(self._smarthost, SmtpSmarthost)
        self._wait = GREET_AGAIN
        self._ourselves = None
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                await self._smarthost.greet()
        except SmarthostIsOurselves as error:
            self._ourselves = error
        except ClicktrailError:
            pass  # it is in the log
        except TimeoutError:  # not a problem yet: some let strangers wait on purpose
            why = f"it has not greeted within {GREETING_SECONDS:g} seconds; emails wait for longer"
            log.warning("smarthost is not available", error=why)


def _check_maildir(settings: Settings, path: Path) -> None:
    try:
        try_maildir(path)
    except OSError as error:
        where = error.filename or path
        raise SettingError(
            f"smarthost.url = {settings.shown('smarthost.url')} (from"
            f" {settings.source('smarthost.url')}) cannot be written: {where}:"
            f" {complaint(error, where)}"
        ) from None


def _check_own(settings: Settings, found: Iterable[str]) -> None:
    listen = settings["smtp.listen"]
    with suppress(OSError, UnicodeError):
        ours = {ipaddress.ip_address(each) for each in _resolved(listen)}
        for address in map(ipaddress.ip_address, found):
            wild = any(each.is_unspecified and each.version == address.version for each in ours)
            if address.is_unspecified:  # which leads to this machine, as far as it leads anywhere
                loops = wild or any(each.is_loopback for each in ours)
            else:
                loops = address in ours or (wild and _is_ours(str(address)))
            if loops:
                break
        else:
            return
        raise SettingError(
            f"smarthost.url = {settings.shown('smarthost.url')} (from"
            f" {settings.source('smarthost.url')}) is this service itself (smtp.listen = {listen}):"
            " emails would come in again; give the address of the mail server that sends them on"
        )


def _is_ours(address: str) -> bool:
    """Whether an interface of this machine has the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
    return True


def _resolved(place: Address) -> list[str]:
    """Return the addresses of a host. Raises `OSError`, and `UnicodeError` for no host name."""
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]
