"""Address lists of headers, taken apart without changing a character of an address."""

import re

# RFC 5322 § 3.2.4, § 3.2.2 (comments in comments, to a depth of two), § 3.4.1. What has matched
# is never matched in another way (atomic groups), so that no value takes long.
_QUOTED = r'"(?>(?:[^"\\]|\\.)*)"'
_COMMENT = r"\((?>(?:[^()\\]|\\.|\((?>(?:[^()\\]|\\.)*)\))*)\)"
_ADDRESS = rf'(?:{_QUOTED}|[^\s@"<>,;:]+)@(?:\[[^\[\]]*\]|[^\s@"<>,;:\[\]]+)'
_PHRASE = rf'(?>(?:{_QUOTED}|[^<>"])*)'

_item = re.compile(
    rf'(?>(?:{_QUOTED}|{_COMMENT}|<{_PHRASE}>|\[[^\[\]]*\]|[^"(),:;<>\[\]])+)', re.DOTALL
)
_comments = re.compile(rf"({_QUOTED})|{_COMMENT}", re.DOTALL)
_mailbox = re.compile(rf"\s*(?:{_PHRASE}<\s*({_ADDRESS})\s*>|({_ADDRESS}))\s*", re.DOTALL)


def split_addresses(value: str) -> list[str]:
    """Return the addresses of a ``From`` or ``To`` header, each as it is written there.

    Commas in quoted strings, comments and angle brackets do not separate; groups
    (RFC 5322 § 3.4) give their members. A value that is no address list comes back whole, as the
    only item; an empty one gives none.
    """
    items = _items(value)
    return [value.strip()] if items is None else items


def domain_in(address: str) -> str:
    """Return the domain of one address as a header has it (``A <a@b.c>``), or ``""``."""
    found = _mailbox.fullmatch(_comments.sub(r"\1", address))
    return (found[1] or found[2]).rpartition("@")[2].rstrip(".").lower() if found else ""


def _items(value: str) -> list[str] | None:
    items: list[str] = []
    group = False
    at = 0
    while at < len(value):
        found = _item.match(value, at)
        item = found[0].strip() if found else ""
        at = found.end() if found else at
        separator = value[at : at + 1]
        at += 1
        if separator == ":" and not group:
            group = True  # the item is the group's name
        elif separator in ("", ",") or (separator == ";" and group):
            if item and not domain_in(item):
                return None
            items += [item] if item else []  # RFC 5322 § 4.4: members of a list may be empty
            group = group and separator != ";"
        else:
            return None
    return None if group else items
