"""Looks at the newest clicks, for all live pages at once."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import tzinfo

from clicktrail.console.clicks.seen import Seen, seen_of
from clicktrail.errors import StoreUnavailable
from clicktrail.model import Verdict
from clicktrail.store import Store

LOOK_SECONDS = 0.25
RECENT = 500
"""Clicks of one look, the newest: who is further behind goes on with them."""
WATCHED = 200
"""So many of the newest clicks are looked at again: their verdicts may change."""
_AT_ONCE = 20
"""Clicks that a stream writes before others get a turn."""

Judged = tuple[Verdict, tuple[str, ...]]


@dataclass(slots=True)
class Row:
    """A click, and its events for the streams once one of them has asked for them."""

    seen: Seen
    texts: dict[tuple[tzinfo, str], bytes] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The event id of the click."""
        return self.seen.row.click.event_id


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the store has found: clicks, the oldest first, and who is still signed in."""

    rows: Sequence[Row]
    signed_in: Set[str]
    changed: Sequence[tuple[int, Row]] = ()
    """Clicks that got another verdict, each with the number of its change."""

    def after(self, event_id: str) -> Sequence[Row]:
        """Return the clicks after one."""
        return self.rows[bisect_right(self.rows, event_id, key=lambda row: row.id) :]

    def changed_after(self, change: int) -> Sequence[tuple[int, Row]]:
        """Return what has changed after a change, by its number."""
        return [each for each in self.changed if each[0] > change]


@dataclass(frozen=True, slots=True)
class _Question:
    after: str
    session: str
    answer: "asyncio.Future[Look | None]"


class Looks:
    """Looks at the store for all streams at once, every `LOOK_SECONDS` while one of them asks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: list[_Question] = []
        self._looking: asyncio.Task[None] | None = None
        self._rows: dict[str, Row] = {}
        self._judged: dict[str, Judged] = {}
        self._changed: dict[str, tuple[int, Row]] = {}
        self._changes = 0
        self.stopped = False

    def ask(self, after: str, session: str) -> "asyncio.Future[Look | None]":
        """Return the next look: at clicks after an id, and at a session, by its token.

        ``None`` where the store cannot be read, or after `stop`.
        """
        answer: asyncio.Future[Look | None] = asyncio.get_running_loop().create_future()
        if self.stopped:
            answer.set_result(None)
            return answer
        self._asked.append(_Question(after, session, answer))
        if self._looking is None:
            self._looking = asyncio.create_task(self._run())
        return answer

    def stop(self) -> None:
        """Answer all who wait, and look no more."""
        self.stopped = True
        if self._looking is not None:
            self._looking.cancel()

    def shown(self, seen: Sequence[Seen]) -> None:
        """Remember how clicks of a page are judged, so that its stream tells where that changes."""
        for each in seen[:WATCHED]:
            self._judged.setdefault(each.row.click.event_id, (each.row.verdict, each.row.reasons))
        # Streams forget what is old, but pages may be looked at without.
        for old in sorted(self._judged)[:-WATCHED]:
            del self._judged[old]

    async def _run(self) -> None:
        asked: list[_Question] = []
        try:
            while self._asked:
                await asyncio.sleep(LOOK_SECONDS)
                asked, self._asked = self._asked, []
                try:
                    look = await self._look(asked)
                except StoreUnavailable:
                    look = None
                except Exception as error:  # raised to each who asked
                    for each in asked:
                        if not each.answer.done():
                            each.answer.set_exception(error)
                    continue
                _answer(asked, look)
        finally:
            self._looking = None
            _answer([*asked, *self._asked], None)

    async def _look(self, asked: Sequence[_Question]) -> Look:
        first = min(each.after for each in asked)
        clicks = await self._store.browse.clicks_after(first, RECENT)
        known, rows = self._rows, []
        for seen in await seen_of(self._store, clicks):
            row = known.get(seen.row.click.event_id)
            # What was erased meanwhile is made anew.
            if row is None or row.seen != seen:
                row = known[seen.row.click.event_id] = Row(seen)
            rows.append(row)
        while len(known) > RECENT:
            del known[next(iter(known))]
        await self._watch()
        # After the clicks: they are for those who are signed in when they are shown.
        sessions = {each.session for each in asked}
        signed_in = await self._store.accounts.signed_in(sessions)
        return Look(rows, signed_in, list(self._changed.values()))

    async def _watch(self) -> None:
        """See which of the newest clicks are judged otherwise than before."""
        now = await self._store.browse.newest_verdicts(WATCHED)
        differ = [id_ for id_, judged in now.items() if self._judged.get(id_, judged) != judged]
        self._judged = now
        if differ:
            for seen in await seen_of(self._store, await self._store.browse.clicks(differ)):
                self._changes += 1
                self._changed[seen.row.click.event_id] = (self._changes, Row(seen))
        for id_ in self._changed.keys() - now.keys():
            del self._changed[id_]


def _answer(asked: Sequence[_Question], look: Look | None) -> None:
    for each in asked:
        if not each.answer.done():
            each.answer.set_result(look)


def pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield rows, as many as are written at once."""
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
