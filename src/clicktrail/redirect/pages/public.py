"""The pages that people see: each in its reader's language, and from a file where there is one."""

import re
from collections.abc import Mapping
from functools import lru_cache
from html import escape
from pathlib import Path
from types import MappingProxyType

from clicktrail.base.complaints import complaint
from clicktrail.errors import SettingError
from clicktrail.redirect.forms import ALL, CHOICE, TOPIC
from clicktrail.redirect.location import location
from clicktrail.redirect.pages import Answer, page, redirect_to
from clicktrail.redirect.pages.language import language
from clicktrail.redirect.pages.texts import TEXTS, USUAL

NOT_FOUND, BLOCKED, PREFERENCES = "not-found", "blocked", "preferences"
UNSUBSCRIBE, UNSUBSCRIBED, NOT_UNSUBSCRIBED = "unsubscribe", "unsubscribed", "not-unsubscribed"
STATUS = {
    NOT_FOUND: b"404 Not Found",
    BLOCKED: b"410 Gone",
    UNSUBSCRIBE: b"200 OK",
    PREFERENCES: b"200 OK",
    UNSUBSCRIBED: b"200 OK",
    NOT_UNSUBSCRIBED: b"503 Service Unavailable",
}
"""The pages, and the status of each."""

Topics = tuple[tuple[str, str], ...]
"""Topics of a list, each with its name for people."""
NOTHING: Mapping[str, str] = MappingProxyType({})

SIZE_LIMIT = 64 * 1024
"""Bytes of a file."""

_PLACE = re.compile(r"\{\{\s*([a-z-]+)\s*\}\}")

_FRAME = """<!doctype html>
<html lang="{{language}}">
<meta name="viewport" content="width=device-width">
<title>{{title}}</title>
<style>body { font: 1.1em/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 30em;
padding: 0 1em }
button { font: inherit; padding: .5em 1em } input { width: 1.1em; height: 1.1em }</style>
<h1>{{title}}</h1>
%s</html>
"""
_BODIES = {
    NOT_FOUND: "<p>{{not-found-why}}\n<p>{{not-found-do}}\n",
    BLOCKED: "<p>{{because}}\n",
    # RFC 8058 § 3.2: what mail programs send; the button does what theirs does.
    UNSUBSCRIBE: """<p>{{unsubscribe-then}}
<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button>{{unsubscribe-do}}</button>
</form>
""",
    PREFERENCES: f"""<form method="post">
<input type="hidden" name="{CHOICE}" value="1">
{{{{topics}}}}<p><button>{{{{unsubscribe-do}}}}</button>
</form>
""",
    UNSUBSCRIBED: "<p>{{unsubscribe-then}}\n",
    NOT_UNSUBSCRIBED: "<p>{{not-unsubscribed-do}}\n",
}
_TOPIC = '<p><label><input type="checkbox" name="%s" value="%s"%s> %s</label>\n'
_HOME = '<p><a href="{{home-url}}">{{home}}</a>\n'


class PublicPages:
    """Makes them. ``home`` is the URL of the sender's own site, if there is one.

    ``folder`` may have a file for each page, ``not-found.html``, and for one language,
    ``not-found.de.html``: UTF-8, in which ``{{because}}``, ``{{home-url}}``, ``{{topics}}`` and all
    names of `TEXTS` are filled in.
    """

    def __init__(self, folder: Path | None = None, home: str = "") -> None:
        self._folder = folder
        self._home = home
        self.home = redirect_to(location(home)) if home else None
        """What leads to the sender's own site."""
        self._files: Mapping[str, Mapping[str, str]] = {}
        self._made = lru_cache(1000)(self._make)
        self.reload()

    def reload(self) -> None:
        """Read the folder again. Raises `SettingError`: then what was read before holds."""
        if self._folder is not None:
            self._files = {name: _files_of(self._folder, name) for name in STATUS}
        self._made.cache_clear()

    def not_found(self, accept_language: bytes | None) -> Answer:
        """Return the page for a link that is none, for a request with that ``Accept-Language``."""
        return self._page(NOT_FOUND, accept_language)

    def blocked(self, accept_language: bytes | None, because: str) -> Answer:
        """Return the page for a link that leads nowhere any more, and why."""
        return self._page(BLOCKED, accept_language, because)

    def unsubscribe(self, accept_language: bytes | None) -> Answer:
        """Return the page whose button unsubscribes."""
        return self._page(UNSUBSCRIBE, accept_language)

    def preferences(self, accept_language: bytes | None, topics: Topics, ticked: str) -> Answer:
        """Return the page that unsubscribes from what is ticked there; ``""``: from all.

        Who has a page of their own with the button, and none of these, keeps that.
        """
        if self._files.get(UNSUBSCRIBE) and not self._files.get(PREFERENCES):
            return self.unsubscribe(accept_language)
        return self._page(PREFERENCES, accept_language, topics=topics, ticked=ticked)

    def unsubscribed(self, accept_language: bytes | None) -> Answer:
        """Return the page for who has unsubscribed."""
        return self._page(UNSUBSCRIBED, accept_language)

    def not_unsubscribed(self, accept_language: bytes | None) -> Answer:
        """Return the page for whose wish could not be logged."""
        return self._page(NOT_UNSUBSCRIBED, accept_language)

    def _page(
        self,
        name: str,
        accept_language: bytes | None,
        because: str = "",
        topics: Topics = (),
        ticked: str = "",
    ) -> Answer:
        known = frozenset(TEXTS) | self._files.get(name, {}).keys() - {""}
        # Kept by language: headers are whatever strangers send, and a page may be large.
        chosen = language(accept_language, known, USUAL)
        return self._made(name, chosen, because, topics, ticked)

    def _make(self, name: str, chosen: str, because: str, topics: Topics, ticked: str) -> Answer:
        files = self._files.get(name, {})
        template = files.get(chosen) or files.get("")
        if template is None:
            leads_home = self._home and name in (NOT_FOUND, BLOCKED)
            template = _FRAME % (_BODIES[name] + (_HOME if leads_home else ""))
        texts = TEXTS.get(chosen, TEXTS[USUAL])
        own = {"language": chosen, "title": texts[name], "because": because}
        own["home-url"] = self._home
        boxes = _boxes(topics, ticked, texts["preferences-all"]) if topics else ""
        return page(STATUS[name], fill(template, {**texts, **own}, {"topics": boxes}))


def fill(template: str, values: Mapping[str, str], html: Mapping[str, str] = NOTHING) -> bytes:
    """Return a page in whose places (``{{name}}``) values stand, escaped, and ``html`` as it is;
    none where none is."""

    def filled(place: re.Match[str]) -> str:
        return html.get(place[1]) or escape(values.get(place[1], ""))

    return _PLACE.sub(filled, template).encode("utf-8", "replace")


def _boxes(topics: Topics, ticked: str, all_of_them: str) -> str:
    boxes = [(TOPIC, name, title, name == ticked) for name, title in topics]
    boxes.append((ALL, "1", all_of_them, not any(is_ticked for *_, is_ticked in boxes)))
    return "".join(
        _TOPIC % (escape(field), escape(value), " checked" if is_ticked else "", escape(title))
        for field, value, title, is_ticked in boxes
    )


def _files_of(folder: Path, name: str) -> dict[str, str]:
    """Return the files of a page by language, ``""`` for that of all others."""
    found = {}
    for path in folder.glob(f"{name}*.html"):
        middle = path.name.removeprefix(name).removesuffix(".html")
        if middle and not re.fullmatch(r"\.[a-z]{2,8}", middle):
            continue  # another page
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise SettingError(f"{path} cannot be read: {complaint(error, path)}") from None
        if len(raw) > SIZE_LIMIT:
            raise SettingError(f"{path} is too large: a page has at most {SIZE_LIMIT} bytes")
        try:
            found[middle.removeprefix(".")] = raw.decode()
        except UnicodeDecodeError:
            raise SettingError(f"{path} is not UTF-8: save it as that") from None
    return found
