"""Configuration sets, their event destinations, and identities.

Reads are answered from a copy in memory, after a look at the version in the database: what another
process has changed is seen by the next call, and a call costs one tiny query, shared by all calls
that are waiting for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Table, delete, insert, select, update

from clicktrail.arn import check_deliverable
from clicktrail.batch import Batcher
from clicktrail.dkimkey import check_selector
from clicktrail.errors import AlreadyExists, InvalidInput, NotFound
from clicktrail.ids import new_id, now_us
from clicktrail.model import (
    ConfigurationSet,
    Dkim,
    EventDestination,
    EventType,
    HttpsPolicy,
    Identity,
    ResourceTags,
    check_name,
)
from clicktrail.store.database import Database
from clicktrail.store.schema import (
    configuration_sets,
    configuration_version,
    event_destinations,
    identities,
)

_KEEP: Literal["keep"] = "keep"


@dataclass(frozen=True)
class Configuration:
    """All configuration sets and identities at one moment, by name."""

    version: int = -1
    sets: MappingProxyType[str, ConfigurationSet] = field(
        default_factory=lambda: MappingProxyType({})
    )
    identities: MappingProxyType[str, Identity] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def identity_for(self, address: str) -> Identity | None:
        """Return the identity that sends for an address.

        The most specific wins, as in SES ("Creating and verifying identities"): the address
        itself, then its domain, then the parents of that domain, since a domain identity stands
        for its subdomains too. Domains match in any letter case, local parts exactly
        (RFC 5321 § 2.4).
        """
        local, at, domain = address.strip("<> \t").rpartition("@")
        domain = _domain(domain)
        if at and (exact := self.identities.get(f"{local}@{domain}")):
            return exact
        while at and domain:
            if found := self.identities.get(domain):
                return found
            domain = domain.partition(".")[2]
        return None


class ConfigurationStore:
    """Reads and changes the configuration. Every method may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._current = Configuration()
        self._refresher = Batcher(self._refresh)

    async def current(self) -> Configuration:
        """Return the whole configuration as it is now."""
        await self._refresher.put(None)
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
            _check(each)
        if len({d.name for d in made.destinations}) < len(made.destinations):
            raise InvalidInput("two event destinations have the same name")
        row = {
            "name": made.name,
            "engagement": made.engagement,
            "redirect_domain": made.redirect_domain,
            "https_policy": made.https_policy.value,
            "created_at": now_us(),
            "sending": made.sending,
            "tags": dump_tags(made.tags),
            "options": made.options,
            "keep_html": made.keep_html,
        }

        def work(connection: Connection) -> None:
            if _exists(connection, configuration_sets, made.name):
                raise AlreadyExists(f"there is a configuration set {made.name!r} already")
            connection.execute(insert(configuration_sets), row)
            if made.destinations:
                rows = [_destination_row(made.name, d) for d in made.destinations]
                connection.execute(insert(event_destinations), rows)
            bump(connection)

        await self._database.write(work)

    async def update_set(
        self,
        name: str,
        *,
        engagement: bool | None = None,
        redirect_domain: str | Literal["keep"] | None = _KEEP,
        https_policy: HttpsPolicy | None = None,
        sending: bool | None = None,
        options: str | None = None,
        keep_html: bool | None = None,
    ) -> None:
        """Change what is given of a configuration set. Raises `NotFound`.

        A ``redirect_domain`` of ``None`` removes it.
        """
        changes: dict[str, Any] = {}
        if engagement is not None:
            changes["engagement"] = engagement
        if redirect_domain != _KEEP:
            changes["redirect_domain"] = redirect_domain
        if https_policy is not None:
            changes["https_policy"] = https_policy.value
        if sending is not None:
            changes["sending"] = sending
        if options is not None:
            changes["options"] = options
        if keep_html is not None:
            changes["keep_html"] = keep_html

        def work(connection: Connection) -> None:
            _need_set(connection, name)
            if changes:
                where = configuration_sets.c.name == name
                connection.execute(update(configuration_sets).where(where).values(changes))
                bump(connection)

        await self._database.write(work)

    async def delete_set(self, name: str) -> None:
        """Delete a configuration set and its destinations. Raises `NotFound`.

        Identities bound to it are bound to none from then on. Links that were sent keep working.
        """

        def work(connection: Connection) -> None:
            _need_set(connection, name)
            where = configuration_sets.c.name == name
            connection.execute(delete(configuration_sets).where(where))
            bump(connection)

        await self._database.write(work)

    async def add_destination(self, set_name: str, made: EventDestination) -> None:
        """Add an event destination. Raises `NotFound`, `AlreadyExists`, `InvalidInput`."""
        _check(made)

        def work(connection: Connection) -> None:
            _need_set(connection, set_name)
            if _has_destination(connection, set_name, made.name):
                raise AlreadyExists(
                    f"configuration set {set_name!r} has an event destination {made.name!r} already"
                )
            connection.execute(insert(event_destinations), _destination_row(set_name, made))
            bump(connection)

        await self._database.write(work)

    async def update_destination(self, set_name: str, changed: EventDestination) -> None:
        """Replace the event destination of that name. Raises `NotFound`, `InvalidInput`."""
        _check(changed)
        row = _destination_row(set_name, changed)
        del row["created_at"]

        def work(connection: Connection) -> None:
            _need_destination(connection, set_name, changed.name)
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
            _need_destination(connection, set_name, name)
            statement = delete(event_destinations).where(
                event_destinations.c.configuration_set == set_name,
                event_destinations.c.name == name,
            )
            connection.execute(statement)
            bump(connection)

        await self._database.write(work)

    async def tag_set(self, name: str, tags: ResourceTags) -> None:
        """Replace the tags of a configuration set. Raises `NotFound`, `InvalidInput`."""
        await self._tag(configuration_sets, name, tags, _need_set)

    async def tag_identity(self, name: str, tags: ResourceTags) -> None:
        """Replace the tags of an identity. Raises `NotFound`, `InvalidInput`."""
        await self._tag(identities, _normal(name), tags, _need_identity)

    async def _tag(
        self, table: Table, name: str, tags: ResourceTags, need: Callable[[Connection, str], None]
    ) -> None:
        dumped = dump_tags(tags)

        def work(connection: Connection) -> None:
            need(connection, name)
            connection.execute(update(table).where(table.c.name == name).values(tags=dumped))
            bump(connection)

        await self._database.write(work)

    async def create_identity(
        self, name: str, configuration_set: str | None = None, tags: ResourceTags = ()
    ) -> Identity:
        """Add a domain or an address that sends.

        Raises `AlreadyExists`, `InvalidInput`, and `NotFound` for the configuration set.
        """
        made = Identity(new_id(), _identity_name(name), configuration_set, tags)
        row = {
            "id": made.id,
            "name": made.name,
            "configuration_set": configuration_set,
            "created_at": now_us(),
            "tags": dump_tags(tags),
        }

        def work(connection: Connection) -> None:
            if configuration_set is not None:
                _need_set(connection, configuration_set)
            if _exists(connection, identities, made.name):
                raise AlreadyExists(f"there is an identity {made.name!r} already")
            connection.execute(insert(identities), row)
            bump(connection)

        await self._database.write(work)
        return made

    async def get_identity(self, name: str) -> Identity:
        """Return an identity. Raises `NotFound`."""
        found = (await self.current()).identities.get(_normal(name))
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
            _need_identity(connection, name)
            if set_name is not None:
                _need_set(connection, set_name)
            where = identities.c.name == _normal(name)
            connection.execute(update(identities).where(where).values(configuration_set=set_name))
            bump(connection)

        await self._database.write(work)

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
            _need_identity(connection, name)
            where = identities.c.name == _normal(name)
            connection.execute(update(identities).where(where).values(values))
            bump(connection)

        await self._database.write(work)

    async def delete_identity(self, name: str) -> None:
        """Delete an identity. Raises `NotFound`."""

        def work(connection: Connection) -> None:
            _need_identity(connection, name)
            connection.execute(delete(identities).where(identities.c.name == _normal(name)))
            bump(connection)

        await self._database.write(work)

    async def _refresh(self, _: list[None]) -> None:
        known = self._current

        def work(connection: Connection) -> Configuration:
            version = connection.scalar(_SELECT_VERSION)
            return known if version == known.version else load(connection)

        self._current = await self._database.read(work)


_SELECT_VERSION = select(configuration_version.c.version)


def load(connection: Connection) -> Configuration:
    """Return the configuration as the connection's transaction sees it."""
    version = connection.scalar(_SELECT_VERSION)
    sets = {}
    for row in connection.execute(select(configuration_sets).order_by(configuration_sets.c.name)):
        sets[row.name] = ConfigurationSet(
            row.name,
            row.engagement,
            row.redirect_domain,
            HttpsPolicy(row.https_policy),
            sending=row.sending,
            tags=_load_tags(row.tags),
            options=row.options,
            keep_html=row.keep_html,
        )
    ordered = select(event_destinations).order_by(
        event_destinations.c.created_at, event_destinations.c.name
    )
    for row in connection.execute(ordered):
        types = frozenset(EventType(text) for text in row.types.split(",") if text)
        made = EventDestination(row.name, row.arn, types, row.enabled, row.role_arn)
        owner = sets[row.configuration_set]
        sets[owner.name] = replace(owner, destinations=(*owner.destinations, made))
    found = connection.execute(select(identities).order_by(identities.c.name))
    named = {row.name: _load_identity(row) for row in found}
    return Configuration(int(version or 0), MappingProxyType(sets), MappingProxyType(named))


def _check(made: EventDestination) -> None:
    check_name(made.name, "event destination name")
    check_deliverable(made.arn)
    if not made.types:
        raise InvalidInput(f"event destination {made.name!r} needs at least one event type")


def _destination_row(set_name: str, made: EventDestination) -> dict[str, Any]:
    return {
        "configuration_set": set_name,
        "name": made.name,
        "arn": made.arn,
        "types": ",".join(sorted(made.types)),
        "enabled": made.enabled,
        "created_at": now_us(),
        "role_arn": made.role_arn,
    }


def _load_identity(row: Any) -> Identity:
    key = None
    if row.dkim_key:
        key = Dkim(row.dkim_selector, bytes(row.dkim_key), row.dkim_origin, row.dkim_enabled)
    return Identity(row.id, row.name, row.configuration_set, _load_tags(row.tags), key)


TAGS_LIMIT, TAG_KEY_LIMIT, TAG_VALUE_LIMIT = 50, 128, 256


def dump_tags(tags: ResourceTags) -> str:
    """Return tags as they are kept. Raises `InvalidInput` beyond the limits of SES (``Tag``)."""
    if len(tags) > TAGS_LIMIT:
        raise InvalidInput(f"there are {len(tags)} tags: expected at most {TAGS_LIMIT}")
    for key, value in tags:
        if not 1 <= len(key) <= TAG_KEY_LIMIT or len(value) > TAG_VALUE_LIMIT:
            raise InvalidInput(
                f"the tag {key[:50]!r} is too long: a key has 1 to {TAG_KEY_LIMIT} characters, a"
                f" value up to {TAG_VALUE_LIMIT}"
            )
    return msgspec.json.encode(list(dict(tags).items())).decode()


_load_tags = msgspec.json.Decoder(ResourceTags).decode


def _domain(text: str) -> str:
    domain = text.rstrip(".").lower()
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode()  # one name, whether written in Unicode or as xn--
    except UnicodeError:
        return domain


def _normal(name: str) -> str:
    local, at, domain = name.strip().rpartition("@")
    return f"{local}{at}{_domain(domain)}"


def _identity_name(name: str) -> str:
    normal = _normal(name)
    local, at, domain = normal.rpartition("@")
    bad = any(c.isspace() or not c.isprintable() or c in "<>," for c in normal)
    if bad or not domain or (at and not local) or len(normal) > 320 or ".." in domain:
        raise InvalidInput(
            f"{name!r} is not an identity: expected a domain (example.com)"
            " or an address (news@example.com)"
        )
    return normal


def bump(connection: Connection) -> None:
    """Tell all processes, within a transaction, to read again what they remember."""
    version = configuration_version.c.version
    connection.execute(update(configuration_version).values(version=version + 1))


def _exists(connection: Connection, table: Any, name: str) -> bool:
    return connection.scalar(select(table.c.name).where(table.c.name == name)) is not None


def _has_destination(connection: Connection, set_name: str, name: str) -> bool:
    statement = select(event_destinations.c.name).where(
        event_destinations.c.configuration_set == set_name, event_destinations.c.name == name
    )
    return connection.scalar(statement) is not None


def _need_set(connection: Connection, name: str) -> None:
    if not _exists(connection, configuration_sets, name):
        raise NotFound(f"there is no configuration set {name!r}")


def _need_destination(connection: Connection, set_name: str, name: str) -> None:
    _need_set(connection, set_name)
    if not _has_destination(connection, set_name, name):
        raise NotFound(f"configuration set {set_name!r} has no event destination {name!r}")


def _need_identity(connection: Connection, name: str) -> None:
    if not _exists(connection, identities, _normal(name)):
        raise NotFound(f"there is no identity {name!r}")
