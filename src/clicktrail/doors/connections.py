"""Who is connected to a server, and who gives way: limits for one client and for all."""

import asyncio
import contextlib
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum, StrEnum
from typing import Any, Generic, Protocol, TypeVar

from clicktrail.doors.forwarded import network_of
from clicktrail.errors import TooManyWaiting

SPARE_FILES = 128
"""Files that the process may open beside connections."""
_ENOUGH_FILES = 65_536


class Stage(IntEnum):
    """What a connection is at; the lower ones give way first."""

    SILENT = 0
    """No request is here, or not all of its head."""
    RECEIVING = 1
    """The body of a request is on its way."""
    AT_WORK = 2
    """The answer is on its way: it does not give way."""


class Limit(StrEnum):
    """What there are too many connections for: the last word of the setting, or the system's."""

    FOR_ONE = "max_per_address"
    FOR_ALL = "max_connections"
    FILES = "LimitNOFILE"


class Client(Protocol):
    """One connection."""

    @property
    def peer(self) -> str:
        """The IP address at the other end."""

    @property
    def stage(self) -> Stage:
        """What it is at."""

    def abort(self) -> None:
        """Hang up at once."""
        ...


C = TypeVar("C", bound=Client)


def allow_many_files() -> None:
    """Let this process open as many files as the system lets it: a connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections(wanted: int) -> int:
    """Return how many connections of one kind there can be.

    Fewer where few files may be open: half of them, for there are other doors in this process.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(16, (files - SPARE_FILES) // 2))


class Connections(Generic[C]):
    """All connections of a server, the oldest first.

    There may be ``limit`` of them (`most_connections`), and ``for_one`` of one client
    (`network_of`); ``trusts`` tells which addresses are of many clients, such as a proxy's. Where
    there is no room, the oldest that is silent gives way, else the oldest whose request is not all
    here: the client's own or, at the limit for all, rather one whose address is not trusted. So who
    says nothing keeps nobody out.

    Connections that wait for something to happen, such as long polls, are counted apart: up to
    ``waiting`` of them take no room from the others.
    """

    def __init__(
        self,
        limit: int,
        for_one: int | None = None,
        trusts: Callable[[str], bool] = lambda _: False,
        waiting: int = 0,
    ) -> None:
        self._limit = most_connections(limit)
        self._for_one = for_one or limit
        self._of_all = Limit.FOR_ALL if self._limit == limit else Limit.FILES
        self.met = self._of_all
        """Which limit `enter` met last, also when it hung up on somebody."""
        self._trusts = trusts
        self._most_waiting = waiting
        self._all: dict[C, str] = {}
        """Each with whose it is; empty for a trusted address."""
        self._of: dict[str, dict[C, None]] = {}
        self._waiting: set[C] = set()
        self._empty: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._all) + len(self._waiting)

    def __iter__(self) -> Iterator[C]:
        return iter([*self._all, *self._waiting])

    def enter(self, connection: C) -> bool:
        """Add a connection; ``False`` where all others are at work, and this one must go."""
        whose = "" if self._trusts(connection.peer) else network_of(connection.peer)
        own = self._of.get(whose)
        if whose and own is not None and len(own) >= self._for_one:
            self.met = Limit.FOR_ONE
            gives_way = _first_of(own)
        elif len(self._all) >= self._limit:
            self.met = self._of_all
            strangers = (each for each, of in self._all.items() if of)
            gives_way = _first_of(strangers) or _first_of(self._all)
        else:
            self._add(connection, whose)
            return True
        if gives_way is None:
            return False
        self.leave(gives_way)
        gives_way.abort()
        self._add(connection, whose)
        return True

    def leave(self, connection: C) -> None:
        """Forget a connection."""
        whose = self._all.pop(connection, None)
        if whose is None:
            self._waiting.discard(connection)
        else:
            own = self._of[whose]
            del own[connection]
            if not own:
                del self._of[whose]
        if not len(self) and self._empty is not None:
            self._empty.set()

    async def until_empty(self) -> None:
        """Return when no connection is open."""
        while len(self):
            self._empty = asyncio.Event()
            await self._empty.wait()

    @contextlib.contextmanager
    def apart(self, connection: C) -> Iterator[None]:
        """Count a connection among those that wait. Raises `TooManyWaiting`."""
        whose = self._all.get(connection)
        if whose is None:  # it has ended meanwhile
            yield
            return
        if len(self._waiting) >= self._most_waiting:
            raise TooManyWaiting(
                f"{self._most_waiting} requests wait here already: try again later"
            )
        self._waiting.add(connection)
        self.leave(connection)
        try:
            yield
        finally:
            if connection in self._waiting:
                self._waiting.discard(connection)
                self._add(connection, whose)

    def _add(self, connection: C, whose: str) -> None:
        self._all[connection] = whose
        own = self._of.get(whose)
        if own is None:
            own = self._of[whose] = {}
        own[connection] = None


def _first_of(connections: Iterable[C]) -> C | None:
    """Return the one that gives way: the oldest of those that are silent, else receiving."""
    receiving = None
    for each in connections:
        if each.stage is Stage.SILENT:
            return each
        if receiving is None and each.stage is Stage.RECEIVING:
            receiving = each
    return receiving


WAITING_ROOM = "clicktrail.waiting_room"
"""An extension in ASGI scopes; its ``enter`` makes a context for a request that waits."""


def waiting_apart(scope: Mapping[str, Any]) -> contextlib.AbstractContextManager[Any]:
    """Count a request apart from others while it waits for something to happen.

    Entering the context raises `TooManyWaiting`.
    """
    room = scope.get("extensions", {}).get(WAITING_ROOM)
    return room["enter"]() if room else contextlib.nullcontext()


HANGING_UP = "clicktrail.hanging_up"
"""An extension in ASGI scopes; its ``now`` ends the connection."""


def hang_up(scope: Mapping[str, Any]) -> None:
    """End a connection whose answer has begun and cannot be finished."""
    if how := scope.get("extensions", {}).get(HANGING_UP):
        how["now"]()
