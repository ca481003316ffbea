"""The rows that the configuration is kept in: how they are made, read and looked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from clicktrail.base.ids import now_us
from clicktrail.errors import NotFound, StoreUnavailable
from clicktrail.model import (
    ConfigurationSet,
    Dkim,
    EventDestination,
    EventType,
    HttpsPolicy,
    Identity,
)
from clicktrail.store.configuration import Configuration
from clicktrail.store.tables import (
    account_options,
    configuration_sets,
    configuration_version,
    do_not_track,
    event_destinations,
    identities,
    suppressed_destinations,
)
from clicktrail.store.validation import (
    check_redirect_domain,
    check_settle,
    dump_rules,
    dump_tags,
    load_rules,
    load_senders,
    load_tags,
    normal_identity_name,
)

_SELECT_VERSION = select(configuration_version.c.version)
_ANY_SPARED = select(do_not_track.c.searched).limit(1)
_ANY_SUPPRESSED = select(suppressed_destinations.c.reason).limit(1)


def refresh(connection: Connection, known: Configuration) -> Configuration:
    """Return what is known, or the configuration anew where that has changed."""
    version = connection.scalar(_SELECT_VERSION)
    return known if version == known.version else load(connection)


def load(connection: Connection) -> Configuration:
    """Return the configuration as the connection's transaction sees it.

    Raises `StoreUnavailable` for a row that cannot be read: without it emails would be accepted,
    and events told, otherwise than was said.
    """
    version = connection.scalar(_SELECT_VERSION)
    sets: dict[str, ConfigurationSet] = {}
    for row in connection.execute(select(configuration_sets).order_by(configuration_sets.c.name)):
        with _readable(f"the configuration set {row.name!r}"):
            sets[row.name] = _load_set(row)
    ordered = select(event_destinations).order_by(
        event_destinations.c.created_at, event_destinations.c.name
    )
    for row in connection.execute(ordered):
        with _readable(f"the event destination {row.name!r} of {row.configuration_set!r}"):
            types = frozenset(EventType(text) for text in row.types.split(",") if text)
            made = EventDestination(row.name, row.arn, types, row.enabled, row.role_arn)
            owner = sets[row.configuration_set]
        sets[owner.name] = replace(owner, destinations=(*owner.destinations, made))
    named = {}
    for row in connection.execute(select(identities).order_by(identities.c.name)):
        with _readable(f"the identity {row.name!r}"):
            named[row.name] = _load_identity(row)
    account = {}
    for row in connection.execute(select(account_options)):
        with _readable(f"the option {row.name!r} of the account"):
            account[row.name] = _checked(row.options)
    return Configuration(
        int(version or 0),
        MappingProxyType(sets),
        MappingProxyType(named),
        MappingProxyType(account),
        connection.scalar(_ANY_SUPPRESSED) is not None,
        connection.scalar(_ANY_SPARED) is not None,
    )


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError):  # its text may hold what is damaged
        raise StoreUnavailable(
            f"{what} cannot be read from the store: it is damaged, or of a newer version; put a"
            " backup back, or upgrade this installation"
        ) from None


def _load_set(row: Any) -> ConfigurationSet:
    return ConfigurationSet(
        row.name,
        row.engagement,
        row.redirect_domain,
        HttpsPolicy(row.https_policy),
        sending=row.sending,
        tags=load_tags(row.tags),
        options=_checked(row.options),
        keep_html=row.keep_html,
        track_visible_urls=row.track_visible_urls,
        engagement_opens=row.engagement_opens,
        rules=load_rules(row.rules),
        settle=row.settle,
    )


def _checked(options: str) -> str:
    """Return options as they are kept: JSON, which others read. Raises `ValueError`."""
    if options != "{}":
        msgspec.json.decode(options, type=dict[str, Any])
    return options


def _load_identity(row: Any) -> Identity:
    key = None
    if row.dkim_key:
        key = Dkim(row.dkim_selector, bytes(row.dkim_key), row.dkim_origin, row.dkim_enabled)
    tags, senders = load_tags(row.tags), load_senders(row.senders)
    return Identity(row.id, row.name, row.configuration_set, tags, key, senders)


def set_row(made: ConfigurationSet) -> dict[str, Any]:
    """Return the row of a configuration set. Raises `InvalidInput`."""
    return {
        "name": made.name,
        "engagement": made.engagement,
        "redirect_domain": check_redirect_domain(made.redirect_domain),
        "https_policy": made.https_policy.value,
        "created_at": now_us(),
        "sending": made.sending,
        "tags": dump_tags(made.tags),
        "options": made.options,
        "keep_html": made.keep_html,
        "track_visible_urls": made.track_visible_urls,
        "engagement_opens": made.engagement_opens,
        "rules": dump_rules(made.rules),
        "settle": check_settle(made.settle),
    }


def destination_row(set_name: str, made: EventDestination) -> dict[str, Any]:
    """Return the row of an event destination."""
    return {
        "configuration_set": set_name,
        "name": made.name,
        "arn": made.arn,
        "types": ",".join(sorted(made.types)),
        "enabled": made.enabled,
        "created_at": now_us(),
        "role_arn": made.role_arn,
    }


def exists(connection: Connection, table: Any, name: str) -> bool:
    """Whether a table has a row of that name."""
    return connection.scalar(select(table.c.name).where(table.c.name == name)) is not None


def has_destination(connection: Connection, set_name: str, name: str) -> bool:
    """Whether a configuration set has an event destination of that name."""
    statement = select(event_destinations.c.name).where(
        event_destinations.c.configuration_set == set_name, event_destinations.c.name == name
    )
    return connection.scalar(statement) is not None


def need_set(connection: Connection, name: str) -> None:
    """Raise `NotFound` where there is no such configuration set."""
    if not exists(connection, configuration_sets, name):
        raise NotFound(f"there is no configuration set {name!r}")


def need_destination(connection: Connection, set_name: str, name: str) -> None:
    """Raise `NotFound` where there is no such event destination."""
    need_set(connection, set_name)
    if not has_destination(connection, set_name, name):
        raise NotFound(f"configuration set {set_name!r} has no event destination {name!r}")


def need_identity(connection: Connection, name: str) -> None:
    """Raise `NotFound` where there is no such identity."""
    if not exists(connection, identities, normal_identity_name(name)):
        raise NotFound(f"there is no identity {name!r}")


def bump(connection: Connection) -> None:
    """Tell all processes, within a transaction, to read again what they remember."""
    version = configuration_version.c.version
    connection.execute(update(configuration_version).values(version=version + 1))
