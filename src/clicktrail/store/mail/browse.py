"""What people look through: emails and clicks, the newest first. By primary key alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from clicktrail.model import Click, MessageState, Reason, Verdict
from clicktrail.store.clicks.statistics import total
from clicktrail.store.clicks.tables import clicked_links, clicks
from clicktrail.store.clicks.tally import click_of, verdict_of
from clicktrail.store.database.core import Database, storable
from clicktrail.store.mail.kept.contents import tell_damage
from clicktrail.store.mail.rows import state_of
from clicktrail.store.mail.tables import messages


@dataclass(frozen=True, slots=True)
class MessageRow:
    """An email in a list."""

    id: str
    accepted_at: int
    state: MessageState
    configuration_set: str
    identity: str
    provider: str
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class ClickRow:
    """A click in a list."""

    click: Click
    verdict: Verdict
    reasons: tuple[str, ...]
    configuration_set: str


class Browse:
    """Reads lists. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def messages(self, limit: int, before: str | None = None) -> list[MessageRow]:
        """Return emails, the newest first; with ``before``, those older than that id."""
        query = select(messages).order_by(messages.c.id.desc()).limit(limit)
        if before:
            query = query.where(messages.c.id < storable(before))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [message_row(row) for row in rows]

    async def message(self, message_id: str) -> MessageRow | None:
        """Return one email, also where its contents were forgotten."""
        query = select(messages).where(messages.c.id == storable(message_id))
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return message_row(row) if row is not None else None

    async def clicks_of(self, ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return clicks, and people's clicks, of emails; those without clicks are left out."""
        at = clicked_links.c
        query = (
            select(at.message_id, total(at.clicks), total(at.human_clicks))
            .where(at.message_id.in_(list(ids)))
            .group_by(at.message_id)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row[0]: (row[1], row[2]) for row in rows}

    async def newest_click(self) -> str:
        """Return the id of the newest click; empty where there is none."""
        query = select(clicks.c.event_id).order_by(clicks.c.event_id.desc()).limit(1)
        found = await self._database.read(lambda connection: connection.scalar(query))
        return found or ""

    async def clicks_after(self, event_id: str, limit: int) -> list[ClickRow]:
        """Return the newest ``limit`` clicks with ids after that one, the oldest first."""
        query = (
            select(clicks, messages.c.configuration_set)
            .outerjoin(messages, messages.c.id == clicks.c.message_id)
            .where(clicks.c.event_id > storable(event_id))
            .order_by(clicks.c.event_id.desc())
            .limit(limit)
        )

        def work(connection: Connection) -> list[ClickRow]:
            return [click_row(row) for row in reversed(connection.execute(query).all())]

        return await self._database.read(work)

    async def newest_verdicts(self, limit: int) -> dict[str, tuple[Verdict, tuple[str, ...]]]:
        """Return verdicts and reasons of the newest clicks, by event id."""
        at = clicks.c
        query = select(at.event_id, at.verdict, at.reasons).order_by(at.event_id.desc())
        rows = await self._database.read(lambda c: c.execute(query.limit(limit)).all())
        return {id_: (verdict_of(verdict), tuple(why.split())) for id_, verdict, why in rows}

    async def clicks(self, event_ids: Sequence[str]) -> list[ClickRow]:
        """Return those of some clicks that are kept, the oldest first."""
        query = (
            select(clicks, messages.c.configuration_set)
            .outerjoin(messages, messages.c.id == clicks.c.message_id)
            .where(clicks.c.event_id.in_(list(event_ids)))
            .order_by(clicks.c.event_id)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [click_row(row) for row in rows]

    async def click(self, event_id: str) -> ClickRow | None:
        """Return a click by its event id; ``None`` where it is not kept."""
        query = (
            select(clicks, messages.c.configuration_set)
            .outerjoin(messages, messages.c.id == clicks.c.message_id)
            .where(clicks.c.event_id == storable(event_id))
        )
        row = await self._database.read(lambda connection: connection.execute(query).first())
        return None if row is None else click_row(row)

    async def newest_clicks(self, limit: int, before: str | None = None) -> list[ClickRow]:
        """Return clicks, the newest first; with ``before``, those older than that id."""
        query = (
            select(clicks, messages.c.configuration_set)
            .outerjoin(messages, messages.c.id == clicks.c.message_id)
            .order_by(clicks.c.event_id.desc())
            .limit(limit)
        )
        if before:
            query = query.where(clicks.c.event_id < before)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [click_row(row) for row in rows]


def message_row(row: Any) -> MessageRow:
    """Return a row of ``messages`` as it is shown."""
    try:
        reason, state = Reason(row.reason) if row.reason else None, state_of(row.state)
    except (LookupError, ValueError):
        tell_damage(row.id)
        reason, state = None, MessageState.UNKNOWN
    places = (row.configuration_set, row.identity, row.provider)
    return MessageRow(row.id, row.accepted_at, state, *places, reason)


def click_row(row: Any) -> ClickRow:
    """Return a row of ``clicks``, with its email's configuration set, as it is shown."""
    reasons = tuple(row.reasons.split())
    return ClickRow(click_of(row), verdict_of(row.verdict), reasons, row.configuration_set or "")
