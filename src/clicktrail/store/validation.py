"""What a configuration may say: destinations, tags and names are checked before they are kept."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import asdict
from functools import lru_cache
from importlib import import_module

import msgspec

from clicktrail.base.arn import check_deliverable
from clicktrail.base.hostname import a_labels, domain_name, tracking_host
from clicktrail.errors import InvalidInput
from clicktrail.model import (
    MOST_SETTLE,
    NO_RULES,
    EventDestination,
    ResourceTags,
    Rules,
    check_name,
)
from clicktrail.rules.links import TEXT_LIMIT, checked
from clicktrail.rules.recipients import checked_recipient


def check_destination(made: EventDestination) -> None:
    """Raise `InvalidInput` for a destination that no event can be sent to."""
    check_name(made.name, "event destination name")
    check_deliverable(made.arn)
    if not made.types:
        raise InvalidInput(f"event destination {made.name!r} needs at least one event type")


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


_decode_tags = msgspec.json.Decoder(ResourceTags).decode


def load_tags(text: str) -> ResourceTags:
    """Return tags that were kept. Damaged ones are told in the log, and are none."""
    try:
        return _decode_tags(text)
    except msgspec.MsgspecError:
        _tell_damage()
        return ()


@lru_cache(1)
def _tell_damage() -> None:
    # Loaded here: commands that read configuration sets have nothing to tell, and start sooner.
    log = import_module("clicktrail.base.logs").get_logger(__name__)
    log.error("tags in the store are damaged, and are passed over: set them anew")


MOST_SENDERS = 1000
"""Mailboxes that an identity may name."""


def check_senders(identity: str, senders: Iterable[str]) -> tuple[str, ...]:
    """Return the mailboxes of a domain by what stands before their @. Raises `InvalidInput`.

    ``news`` and ``news@example.com`` are the same for ``example.com``.
    """
    if "@" in identity:
        raise InvalidInput(f"{identity} is an address, and has no other mailboxes to choose from")
    found = set()
    for each in senders:
        address = checked_recipient(each if "@" in each else f"{each}@{identity}")
        local, _, domain = address.rpartition("@")
        if domain != identity:
            raise InvalidInput(f"{each[:320]!a} is no mailbox of {identity}")
        found.add(local)
    if len(found) > MOST_SENDERS:
        raise InvalidInput(f"there are {len(found)} mailboxes: give at most {MOST_SENDERS}")
    return tuple(sorted(found))


load_senders = msgspec.json.Decoder(tuple[str, ...]).decode


def dump_rules(rules: Rules) -> str:
    """Return rules as they are kept. Raises `InvalidInput`."""
    kept, first = asdict(checked(rules)), asdict(NO_RULES)
    return msgspec.json.encode(
        {name: value for name, value in kept.items() if value != first[name]}
    ).decode()


async def check_text(expression: str) -> None:
    """Raise `InvalidInput` for a rule's regular expression that is not to be kept.

    Nobody waits for it but who asks: no transaction, no event loop.
    """
    if 0 < len(expression) <= TEXT_LIMIT:  # longer ones are refused without
        # With the first rule that needs it: few have one, and the library is large.
        trial = import_module("clicktrail.base.automaton.trial")
        await asyncio.to_thread(trial.check, expression)


def load_rules(text: str) -> Rules:
    """Return rules that were kept."""
    return _decode_rules(text) if text != "{}" else NO_RULES


_decode_rules = msgspec.json.Decoder(Rules).decode


def check_redirect_domain(text: str | None) -> str | None:
    """Return a redirect domain as it is kept. Raises `InvalidInput`."""
    return tracking_host(text) if text else None


def check_settle(seconds: int) -> int:
    """Return for how long notifications are held back, in seconds. Raises `InvalidInput`."""
    if not 0 <= seconds <= MOST_SETTLE:
        raise InvalidInput(
            f"notifications cannot be held back for {seconds} seconds: give 0 to {MOST_SETTLE}"
        )
    return seconds


_ATEXT = r"""[^\s\x00-\x1f\x7f()<>\[\]:;@\\,."]+"""
# RFC 5321 § 4.1.2, RFC 6531 § 3.3: Dot-string or Quoted-string.
_LOCAL = re.compile(rf"""{_ATEXT}(?:\.{_ATEXT})*|"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*\"""")


def normal_identity_name(name: str) -> str:
    """Return an identity's name as it is kept, whatever the letter case of its domain."""
    local, at, domain = name.strip().rpartition("@")
    return f"{local}{at}{a_labels(domain)}"


def check_identity_name(name: str) -> str:
    """Return the name of a new identity as it is kept. Raises `InvalidInput`."""
    local, at, domain = name.strip().rpartition("@")
    why = "" if not at or (len(local) <= 64 and _LOCAL.fullmatch(local)) else "before its last @"
    try:
        domain = domain_name(domain)
    except InvalidInput as error:
        why = str(error)
    else:
        why = why and f"what is {why} is not of one address"
    if why:
        raise InvalidInput(
            f"{name[:320]!r} is not an identity: expected a domain (example.com)"
            f" or an address (news@example.com); {why}"
        )
    return f"{local}{at}{domain}"
