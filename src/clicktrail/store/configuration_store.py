"""Reads and changes configuration sets, their event destinations, and identities.

Reads are answered from a copy in memory, after a look at the version in the database: what another
process has changed is seen by the next call, and a call costs one tiny query, shared by all calls
that are waiting for it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from clicktrail.base.batch import Batcher
from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import AlreadyExists, InvalidInput, NotFound
from clicktrail.keys.dkim import check_selector
from clicktrail.model import (
    ConfigurationSet,
    Dkim,
    EventDestination,
    HttpsPolicy,
    Identity,
    ResourceTags,
    check_name,
)
from clicktrail.store.configuration import Configuration
from clicktrail.store.configuration_rows import (
    bump,
    destination_row,
    exists,
    has_destination,
    need_destination,
    need_identity,
    need_set,
    refresh,
    set_row,
)
from clicktrail.store.database.core import Database
from clicktrail.store.tables import (
    account_options,
    configuration_sets,
    event_destinations,
    identities,
)
from clicktrail.store.validation import (
    check_destination,
    check_identity_name,
    check_redirect_domain,
    check_senders,
    check_settle,
    check_text,
    dump_rules,
    dump_tags,
    load_rules,
    normal_identity_name,
)

_KEEP: Literal["keep"] = "keep"


class ConfigurationStore:
    """Reads and changes the configuration. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._current = Configuration()
        self._refresher = Batcher(self._refresh)
        self.objection: Callable[[str], str] = lambda arn: ""
        """Why events are not sent to an ARN; empty where they are. New destinations are asked."""

    async def current(self) -> Configuration:
        """Return the whole configuration as it is now."""
        await self._refresher.put(None)
        return self._current

    @property
    def seen(self) -> Configuration:
        """What `current` returned last: nothing has changed since, or is not seen."""
        return self._current

    async def get_set(self, name: str) -> ConfigurationSet:
        """Return a configuration set. Raises `NotFound`."""
        found = (await self.current()).sets.get(name)
        if found is None:
            raise NotFound(f"there is no configuration set {name!r}")
        return found

    async def list_sets(self) -> list[ConfigurationSet]:
        """Return all configuration sets, by name."""
        return list((await self.current()).sets.values())

    async def create_set(self, made: ConfigurationSet) -> None:
        """Add a configuration set with its destinations. Raises `AlreadyExists`, `InvalidInput`."""
        check_name(made.name, "configuration set name")
        for each in made.destinations:
            check_destination(each)
            self._object(each.arn)
        if len({d.name for d in made.destinations}) < len(made.destinations):
            raise InvalidInput("two event destinations have the same name")
        row = set_row(made)
        await check_text(made.rules.no_track_text)

        def work(connection: Connection) -> None:
            if exists(connection, configuration_sets, made.name):
                raise AlreadyExists(f"there is a configuration set {made.name!r} already")
            connection.execute(insert(configuration_sets), row)
            if made.destinations:
                rows = [destination_row(made.name, d) for d in made.destinations]
                connection.execute(insert(event_destinations), rows)
            bump(connection)

        await self._database.write(work)

    async def update_set(
        self,
        name: str,
        *,
        engagement: bool | None = None,
        engagement_opens: bool | None = None,
        redirect_domain: str | Literal["keep"] | None = _KEEP,
        https_policy: HttpsPolicy | None = None,
        sending: bool | None = None,
        options: str | None = None,
        keep_html: bool | None = None,
        track_visible_urls: bool | None = None,
        rules: Mapping[str, Any] | None = None,
        settle: int | None = None,
    ) -> None:
        """Change what is given of a configuration set. Raises `NotFound`, `InvalidInput`.

        A ``redirect_domain`` of ``None`` removes it. ``rules`` are by the names of `Rules`.
        """
        changes: dict[str, Any] = {}
        if engagement is not None:
            changes["engagement"] = engagement
        if engagement_opens is not None:
            changes["engagement_opens"] = engagement_opens
        if redirect_domain != _KEEP:
            changes["redirect_domain"] = check_redirect_domain(redirect_domain)
        if https_policy is not None:
            changes["https_policy"] = https_policy.value
        if sending is not None:
            changes["sending"] = sending
        if options is not None:
            changes["options"] = options
        if keep_html is not None:
            changes["keep_html"] = keep_html
        if track_visible_urls is not None:
            changes["track_visible_urls"] = track_visible_urls
        if settle is not None:
            changes["settle"] = check_settle(settle)
        if rules:
            await check_text(rules.get("no_track_text", ""))

        def work(connection: Connection) -> None:
            need_set(connection, name)
            where = configuration_sets.c.name == name
            if rules:
                kept = connection.scalar(select(configuration_sets.c.rules).where(where))
                changes["rules"] = dump_rules(replace(load_rules(kept or "{}"), **rules))
            if changes:
                connection.execute(update(configuration_sets).where(where).values(changes))
                bump(connection)

        await self._database.write(work)

    async def delete_set(self, name: str) -> None:
        """Delete a configuration set and its destinations. Raises `NotFound`.

        Identities bound to it are bound to none from then on. Links that were sent keep working.
        """

        def work(connection: Connection) -> None:
            need_set(connection, name)
            where = configuration_sets.c.name == name
            connection.execute(delete(configuration_sets).where(where))
            bump(connection)

        await self._database.write(work)

    async def add_destination(self, set_name: str, made: EventDestination) -> None:
        """Add an event destination. Raises `NotFound`, `AlreadyExists`, `InvalidInput`."""
        check_destination(made)
        self._object(made.arn)

        def work(connection: Connection) -> None:
            need_set(connection, set_name)
            if has_destination(connection, set_name, made.name):
                raise AlreadyExists(
                    f"configuration set {set_name!r} has an event destination {made.name!r} already"
                )
            connection.execute(insert(event_destinations), destination_row(set_name, made))
            bump(connection)

        await self._database.write(work)

    def _object(self, arn: str) -> None:
        if why := self.objection(arn):
            raise InvalidInput(why)

    async def update_destination(self, set_name: str, changed: EventDestination) -> None:
        """Replace the event destination of that name. Raises `NotFound`, `InvalidInput`."""
        check_destination(changed)
        owner = (await self.current()).sets.get(set_name)
        if owner is None or all(each.arn != changed.arn for each in owner.destinations):
            self._object(changed.arn)  # what is there already may be switched off, too
        row = destination_row(set_name, changed)
        del row["created_at"]

        def work(connection: Connection) -> None:
            need_destination(connection, set_name, changed.name)
            statement = update(event_destinations).where(
                event_destinations.c.configuration_set == set_name,
                event_destinations.c.name == changed.name,
            )
            connection.execute(statement.values(row))
            bump(connection)

        await self._database.write(work)

    async def remove_destination(self, set_name: str, name: str) -> None:
        """Remove an event destination. Raises `NotFound`.

        What still waits for it becomes dead letters.
        """

        def work(connection: Connection) -> None:
            need_destination(connection, set_name, name)
            statement = delete(event_destinations).where(
                event_destinations.c.configuration_set == set_name,
                event_destinations.c.name == name,
            )
            connection.execute(statement)
            bump(connection)

        await self._database.write(work)

    async def set_account(self, name: str, options: str) -> None:
        """Replace options of the account, JSON, that are kept under a name of SES's."""
        where = account_options.c.name == name

        def work(connection: Connection) -> None:
            connection.execute(delete(account_options).where(where))
            connection.execute(insert(account_options), {"name": name, "options": options})
            bump(connection)

        await self._database.write(work)

    async def create_identity(
        self, name: str, configuration_set: str | None = None, tags: ResourceTags = ()
    ) -> Identity:
        """Add a domain or an address that sends.

        Raises `AlreadyExists`, `InvalidInput`, and `NotFound` for the configuration set.
        """
        made = Identity(new_id(), check_identity_name(name), configuration_set, tags)
        row = {
            "id": made.id,
            "name": made.name,
            "configuration_set": configuration_set,
            "created_at": now_us(),
            "tags": dump_tags(tags),
        }

        def work(connection: Connection) -> None:
            if configuration_set is not None:
                need_set(connection, configuration_set)
            if exists(connection, identities, made.name):
                raise AlreadyExists(f"there is an identity {made.name!r} already")
            connection.execute(insert(identities), row)
            bump(connection)

        await self._database.write(work)
        return made

    async def get_identity(self, name: str) -> Identity:
        """Return an identity. Raises `NotFound`."""
        found = (await self.current()).identities.get(normal_identity_name(name))
        if found is None:
            raise NotFound(f"there is no identity {name!r}")
        return found

    async def list_identities(self) -> list[Identity]:
        """Return all identities, by name."""
        return list((await self.current()).identities.values())

    async def identity_for(self, address: str) -> Identity | None:
        """See `Configuration.identity_for`."""
        return (await self.current()).identity_for(address)

    async def bind_identity(self, name: str, set_name: str | None) -> None:
        """Say which configuration set its emails use that name no other. Raises `NotFound`."""

        def work(connection: Connection) -> None:
            need_identity(connection, name)
            if set_name is not None:
                need_set(connection, set_name)
            where = identities.c.name == normal_identity_name(name)
            connection.execute(update(identities).where(where).values(configuration_set=set_name))
            bump(connection)

        await self._database.write(work)

    async def restrict_identity(self, name: str, senders: Iterable[str]) -> Identity:
        """Say which mailboxes of a domain may send, and none else; all where none is given.

        They are as `validation.check_senders` takes them. Raises `NotFound`, `InvalidInput`.
        """
        found = await self.get_identity(name)
        kept = check_senders(found.name, senders)

        def work(connection: Connection) -> None:
            need_identity(connection, name)
            where = identities.c.name == found.name
            dumped = msgspec.json.encode(kept).decode()
            connection.execute(update(identities).where(where).values(senders=dumped))
            bump(connection)

        await self._database.write(work)
        return replace(found, senders=kept)

    async def set_dkim(self, name: str, key: Dkim | None) -> None:
        """Give an identity a DKIM key, or none. Raises `NotFound`, `InvalidInput`."""
        values: dict[str, Any] = {"dkim_selector": "", "dkim_key": b"", "dkim_origin": ""}
        if key is not None:
            values = {
                "dkim_selector": check_selector(key.selector),
                "dkim_key": key.sealed,
                "dkim_origin": key.origin,
                "dkim_enabled": key.enabled,
            }

        def work(connection: Connection) -> None:
            need_identity(connection, name)
            where = identities.c.name == normal_identity_name(name)
            connection.execute(update(identities).where(where).values(values))
            bump(connection)

        await self._database.write(work)

    async def delete_identity(self, name: str) -> None:
        """Delete an identity. Raises `NotFound`."""

        def work(connection: Connection) -> None:
            need_identity(connection, name)
            connection.execute(
                delete(identities).where(identities.c.name == normal_identity_name(name))
            )
            bump(connection)

        await self._database.write(work)

    async def _refresh(self, _: list[None]) -> None:
        known = self._current
        self._current = await self._database.read(lambda each: refresh(each, known))
