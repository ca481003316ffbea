"""The rules of a configuration set for the links of one email."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from importlib import import_module

from clicktrail.base import weburl
from clicktrail.errors import InvalidInput
from clicktrail.model import Rules, Tags
from clicktrail.rules.append import appended, checked_append
from clicktrail.rules.matching import Hosts, checked_archive, checked_host

LEAST_LIMIT = 200
"""Characters of a tracking link that any installation needs for a short URL."""

_ENTRIES = 1000
"""Hosts or archives of a rule."""
TEXT_LIMIT = 1000
"""Characters of the regular expression."""
APPENDED_LIMIT = 10 << 20
"""Characters that all URLs of one email get, where nothing else is said."""
_BRACKETED = re.compile(r"<([^<>]*)>")


def checked(rules: Rules) -> Rules:
    """Return rules as they are kept. Raises `InvalidInput`, which says what is wrong.

    The regular expression is not compiled here: see `clicktrail.base.automaton.trial`.
    """
    for entries in (rules.no_track_hosts, rules.only_track_hosts, rules.archives):
        if len(entries) > _ENTRIES:
            raise InvalidInput(f"a rule names {len(entries)}: expected at most {_ENTRIES}")
    if rules.link_limit and rules.link_limit < LEAST_LIMIT:
        raise InvalidInput(
            f"a limit of {rules.link_limit} characters leaves no tracking link: expected 0 for no"
            f" limit, or {LEAST_LIMIT} and more"
        )
    if len(rules.no_track_text) > TEXT_LIMIT:
        raise InvalidInput(f"the regular expression is too long: expected at most {TEXT_LIMIT}")
    return replace(
        rules,
        no_track_hosts=_distinct(map(checked_host, rules.no_track_hosts)),
        only_track_hosts=_distinct(map(checked_host, rules.only_track_hosts)),
        append=checked_append(rules.append),
        archives=_distinct(map(checked_archive, rules.archives)),
    )


def staying(rules: Rules, unsubscribe: Iterable[str]) -> Callable[[str], str] | None:
    """Return what says why a URL stays as it is, ``""`` where it does not; ``None`` for no rule.

    ``unsubscribe`` are the email's fields List-Unsubscribe. Raises `InvalidInput` where the machine
    cannot search for the rule's expression.
    """
    excludes, has = _compiled(rules)
    urls = frozenset[str]() if rules.track_unsubscribe else _urls_in(unsubscribe)
    is_told = _among(urls) if urls else None
    if excludes is None and has is None:
        return is_told

    def tell(url: str) -> str:
        if excludes is not None and excludes(url):
            return "host"
        if has is not None and has(url):
            return "text"
        return "" if is_told is None else is_told(url)

    return tell


class Extension:
    """Gives the URLs of one email more parameters, of up to ``most`` characters in all.

    URLs that come when these are used up stay without.
    """

    __slots__ = ("_left", "_more", "_parameters", "_signs")

    def __init__(self, parameters: tuple[tuple[str, str], ...], most: int) -> None:
        self._parameters = parameters
        short = sum(len(text) for _, text in parameters) <= _REMEMBERED
        self._more, self._signs = (_short_joined if short else _joined)(parameters)
        self._left = most

    @property
    def is_used_up(self) -> bool:
        """Whether a URL stayed without."""
        return self._left < 0

    def of(self, url: str) -> str:
        """Return a URL with them."""
        if self._left < 0:
            return url
        for sign in self._signs:
            if sign in url:
                short = len(url) <= _REMEMBERED
                extend = _short_extended if short else weburl.with_parameters
                extended = extend(url, self._parameters)
                break
        else:
            extended = weburl.with_query(url, self._more)
        self._left -= len(extended) - len(url)
        return url if self._left < 0 else extended


def _joined(parameters: tuple[tuple[str, str], ...]) -> tuple[str, tuple[str, ...]]:
    """Return parameters as one text; and what is in each URL that has one of them already.

    Their names, and what these may be written with.
    """
    names = dict.fromkeys(name for name, _ in parameters)
    signs = ("%", "+", *names) if any(" " in name for name in names) else ("%", *names)
    return "&".join(text for _, text in parameters), signs


_short_joined = lru_cache(256)(_joined)  # of many emails they are the same


def extending(rules: Rules, tags: Tags, most: int = APPENDED_LIMIT) -> Extension | None:
    """Return what gives URLs their parameters in an email with these tags; ``None`` for none."""
    parameters = appended(rules.append, tags) if rules.append else ()
    return Extension(parameters, most) if parameters else None


_REMEMBERED = 512
"""Characters of a URL of which it is remembered what the rules say: those of mailings return."""
_short_extended = lru_cache(4096)(weburl.with_parameters)


@lru_cache(64)
def _compiled(rules: Rules) -> tuple[Callable[[str], bool] | None, Callable[[str], bool] | None]:
    """Return whether a URL stays as it is for its host, and whether for its text, if any does."""
    no, only = Hosts(rules.no_track_hosts), Hosts(rules.only_track_hosts)
    has = _search_of(rules.no_track_text) if rules.no_track_text else None
    if not no and not only:
        return None, has

    def excludes_host(host: str) -> bool:
        return bool((no and no.has(host)) or (only and not only.has(host)))

    @lru_cache(4096)  # links of one email have few hosts
    def excludes_front(front: str) -> bool | None:
        host = weburl.host(front)
        return excludes_host(host) if host else None

    def excludes(url: str) -> bool:
        # URL § 4.4, authority state: this ends the host, if anything is before it.
        end = url.find("/", 8)
        told = excludes_front(url[:end]) if 8 < end <= _REMEMBERED else None
        return excludes_host(weburl.host(url) or "") if told is None else told

    return excludes, has


@lru_cache(256)
def _search_of(expression: str) -> Callable[[str], bool]:
    # With the first rule that needs it: few have one, and the library is large.
    search: Callable[[str], bool] = import_module("clicktrail.base.automaton").search_of(expression)
    return search


def _urls_in(fields: Iterable[str]) -> frozenset[str]:
    """Return the web's URLs of fields as in RFC 2369 § 2: in angle brackets, less white space."""
    urls: set[str] = set()
    for field in fields:
        for found in _BRACKETED.findall(field):
            url = "".join(found.split()).partition("#")[0]
            if url[:4].lower() == "http":
                urls.add(_normal(url) or url)
    return frozenset(urls)


def _among(urls: frozenset[str]) -> Callable[[str], str]:
    """Return what says ``unsubscribe`` of a URL that is one of these, as `_urls_in` has them."""
    tails = frozenset(url[-_TAIL:] for url in urls)

    def tell(url: str) -> str:
        tail = url[-_TAIL:]
        # URL § 4.4: letters and digits at the end of a path or a query are what they are. A slash
        # there is behind the host.
        if (
            tail not in tails
            and tail.isalnum()
            and url.find("/", 8) > 8
            and tail.isascii()
            and "#" not in url
            and "\\" not in url
        ):
            return ""
        if "#" in url:
            url = url.partition("#")[0]
        if url in urls:
            return "unsubscribe"
        if _WRITTEN.fullmatch(url):
            return ""
        serialized = _short_serialized if len(url) <= _REMEMBERED else weburl.serialized
        return "unsubscribe" if serialized(url) in urls else ""

    return tell


_TAIL = 4
"""Characters at the end of a URL: as many are no dot-segment, if they are letters and digits."""


def _normal(url: str) -> str | None:
    """Return a URL as a browser writes it; ``None`` where it is none."""
    return url if _WRITTEN.fullmatch(url) else weburl.serialized(url)


# URL § 4.5: nothing of it is written in another way. No dot-segments (§ 4.4), which may be encoded.
_WRITTEN = re.compile(
    r"https?://(?:[a-z0-9-]+\.)+[a-z]{2,63}(?:/(?!\.|%2[eE])[\w\-.~!$&()*+,;=:@%]*)+"
    r"(?:\?[\w\-.~!$&()*+,;=:@%/?]*)?",
    re.A,
)
_short_serialized = lru_cache(4096)(weburl.serialized)


def _distinct(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))
