"""Takes a person out of what is kept of others: HTML of their emails, attributes of contacts."""

from collections.abc import Collection, Sequence
from functools import partial
from html import unescape
from typing import Any

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, delete, update

from clicktrail.store.database.bulk import rows_of
from clicktrail.store.database.core import Database
from clicktrail.store.mail.html import unpack_html
from clicktrail.store.mail.tables import message_html
from clicktrail.store.people.person import Person
from clicktrail.store.people.tables import contacts

_EMAILS = 50
"""Emails whose HTML is read at once: it may be a megabyte each."""
_CONTACTS = 500


async def erase_html(database: Database, person: Person) -> int:
    """Delete the kept HTML of emails that shows the person's address; return of how many."""
    count = 0
    async for rows in rows_of(database, message_html, _EMAILS):
        shown = [row.message_id for row in rows if _is_shown(person, unpack_html(row.html))]
        if shown:
            gone = {"ids": shown}
            count += await database.write(partial(_delete_html, gone))
    return count


async def erase_attributes(database: Database, person: Person) -> int:
    """Take the address out of ``AttributesData`` of contacts; return of how many."""
    count = 0
    async for rows in rows_of(database, contacts, _CONTACTS):
        changed = [
            {"list": row.contact_list, "who": row.digest, "old": row.attributes, "new": new}
            for row in rows
            if (new := _without(person, row.attributes)) != row.attributes
        ]
        if changed:
            await database.write(partial(_change_attributes, changed))
            count += len(changed)
    return count


def _is_shown(person: Person, parts: Collection[str]) -> bool:
    # None are there where it is damaged: the person may be in what cannot be read.
    return not parts or any(
        person.is_in(part) or ("&" in part and person.is_in(unescape(part))) for part in parts
    )


def _without(person: Person, attributes: str) -> str:
    try:
        said = msgspec.json.decode(attributes)  # as clients are told to write it
        left = person.erased(said)
    except (msgspec.MsgspecError, RecursionError):
        return str(person.erased(attributes))
    if left != said:
        return msgspec.json.encode(left).decode()
    return str(person.erased(attributes))  # of a name that stands twice, the last was read


def _delete_html(gone: dict[str, list[str]], connection: Connection) -> int:
    return connection.execute(_DELETE_HTML, gone).rowcount


def _change_attributes(changed: Sequence[dict[str, Any]], connection: Connection) -> None:
    connection.execute(_CHANGE_ATTRIBUTES, changed)


_ids: BindParameter[list[str]] = bindparam("ids", expanding=True)
_DELETE_HTML = delete(message_html).where(message_html.c.message_id.in_(_ids))
_CHANGE_ATTRIBUTES = (
    update(contacts)
    .where(
        contacts.c.contact_list == bindparam("list"),
        contacts.c.digest == bindparam("who"),
        contacts.c.attributes == bindparam("old"),
    )
    .values(attributes=bindparam("new"))
)
