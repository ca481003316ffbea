"""Which emails are rewritten, and how: what a configuration set and the settings ask for."""

import re
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial

from clicktrail.base.faults import Faults
from clicktrail.base.hostname import tracking_host
from clicktrail.base.ids import made_at
from clicktrail.base.logs import get_logger
from clicktrail.base.metrics import Metrics
from clicktrail.errors import ClicktrailError, InvalidInput
from clicktrail.headers.fields import HeaderSection
from clicktrail.keys.ringfile import KeyFile
from clicktrail.keys.token import PASSES, KeyRing, TrackingHosts
from clicktrail.model import (
    NO_RULES,
    OPEN_LINK,
    UNSUBSCRIBE_LINK,
    ConfigurationSet,
    Reason,
    Rules,
    Subscription,
    Tags,
)
from clicktrail.model.anonymous import anonymous_origin
from clicktrail.rewrite import Policy, Rewritten, policy_of, rewrite_message
from clicktrail.rules.links import APPENDED_LIMIT, Extension, extending, staying
from clicktrail.rules.wishes import ALL_ALLOWED, Allowed
from clicktrail.store.mail.html import place_of

log = get_logger(__name__)

LARGE = 256 * 1024
"""Emails of more bytes are rewritten in a thread, so that others need not wait."""

FAULT = "tracking"
"""What a fault of ours is called in ``/readyz``."""

UNTRACKED = "not tracked: a fault of this installation, which its log names"
"""The warning kept with an email that went on untouched because of it."""

APPENDED_TOO_MUCH = (
    "append: with all parameters, the links would be larger than an email may be (smtp.max_size):"
    " the last ones are tracked without"
)
"""The warning kept with such an email."""


class Rewriter:
    """Rewrites the emails that are tracked; others stay as they are, and the reason is told.

    ``honeypots`` are the configuration sets whose emails get a hidden link, ``*`` for all. A fault
    of ours (settings, keys, code) never stops an email: it goes on untouched, and ``faults`` gets
    to know until an email of that configuration set is rewritten again. ``most_appended`` is how
    many characters the URLs of one email get by its rules.
    """

    def __init__(
        self,
        keys: KeyFile,
        hosts: TrackingHosts,
        metrics: Metrics,
        in_thread: Callable[[Callable[[], Rewritten]], Awaitable[Rewritten]],
        honeypots: frozenset[str] = frozenset(),
        faults: Faults | None = None,
        most_appended: int = APPENDED_LIMIT,
    ) -> None:
        self._keys = keys
        self._hosts = hosts
        self._metrics = metrics
        self._in_thread = in_thread
        self._honeypots = honeypots
        self._faults = faults or Faults()
        self._most_appended = most_appended
        self._failing: dict[str, str] = {}
        """Why, by configuration set."""

    async def rewrite(
        self,
        raw: bytes,
        message_id: str,
        chosen: ConfigurationSet | None,
        readers: int,
        header: HeaderSection,
        tags: Tags,
        clicks: bool | None,
        opens: bool | None = None,
        allowed: Allowed = ALL_ALLOWED,
        *,
        reader: str = "",
        spared: bool = False,
    ) -> Rewritten:
        """Return an email as it goes on.

        ``readers`` is how many it is for, ``reader`` the address of the only one. ``clicks`` and
        ``opens`` override what its configuration set says of tracking them; no more than
        ``allowed`` is. Who is ``spared`` wants not to be tracked. Raises `InvalidInput` where there
        are no keys.
        """
        if chosen is None:
            return Rewritten(raw, reason=Reason.OFF)
        clicks = allowed.clicks and (chosen.click_tracking if clicks is None else clicks)
        opens = allowed.opens and (chosen.open_tracking if opens is None else opens)
        if not (clicks or opens):
            return Rewritten(raw, reason=Reason.OFF)
        if readers != 1:
            return Rewritten(raw, reason=Reason.SEVERAL_RECIPIENTS)
        if spared:
            return Rewritten(raw, reason=Reason.RECIPIENT)
        ring = self._keys.ring()
        started = time.perf_counter()
        try:
            seal = _seal(ring, message_id, chosen, reader)
            policy = self._policy(seal, chosen, ring, clicks, opens)
            extension = None
            if chosen.rules is not NO_RULES:
                extension = extending(chosen.rules, tags, self._most_appended)
                _apply(chosen.rules, policy, header, extension)
            rewritten = await self._rewrite(raw, chosen, policy)
        except Exception as error:  # what cannot be parsed raises nothing: see `rewrite_message`
            self._fail(chosen.name, error, message_id)
            return Rewritten(raw, warnings=(UNTRACKED,))
        finally:
            self._metrics.rewrite.observe(time.perf_counter() - started)
        if extension is not None and extension.is_used_up:
            rewritten = replace(rewritten, warnings=(*rewritten.warnings, APPENDED_TOO_MUCH))
        if self._failing and (rewritten.links or rewritten.pixel):
            self._recover(chosen.name)
        return rewritten

    def unsubscribe_link(
        self, message_id: str, chosen: ConfigurationSet | None, subscription: Subscription
    ) -> str:
        """Return where somebody unsubscribes. Raises `InvalidInput` where there are no keys."""
        hosts = self._hosts
        if chosen is not None:
            with suppress(InvalidInput):  # the installation's own host answers too
                hosts = hosts_of(hosts, chosen)
        token = self._keys.ring().seal(message_id, UNSUBSCRIBE_LINK, subscription.packed())
        return hosts.unsubscribe_prefix() + token

    def _policy(
        self,
        seal: Callable[[int, str], str],
        chosen: ConfigurationSet,
        ring: KeyRing,
        clicks: bool,
        opens: bool,
    ) -> Policy:
        hosts, https = hosts_of(self._hosts, chosen), chosen.https_policy
        policy = policy_of(
            hosts,
            https,
            seal,
            ring.is_tracking_link,
            honeypot=not self._honeypots.isdisjoint((chosen.name, "*")),
            visible_urls=chosen.track_visible_urls,
        )
        policy.links = clicks
        if opens and (prefix := hosts.open_prefix(https)):
            policy.pixel = prefix + seal(OPEN_LINK, "")
        return policy

    async def _rewrite(self, raw: bytes, chosen: ConfigurationSet, policy: Policy) -> Rewritten:
        made: dict[int, str] = {}
        if chosen.keep_html:
            policy = replace(policy, link=_remembering(policy.link, made))
        work = partial(_rewritten, raw, policy, made, keep_html=chosen.keep_html)
        return await self._in_thread(work) if len(raw) > LARGE else work()

    def _fail(self, name: str, error: Exception, message_id: str) -> None:
        if isinstance(error, ClicktrailError):
            why = str(error)
            log.error("email goes on untracked", id=message_id, why=why)
        else:
            why = f"{type(error).__name__}: see the log"
            log.exception("email could not be rewritten: it goes on untouched", id=message_id)
        self._failing[name] = why
        self._tell()

    def _recover(self, name: str) -> None:
        self._failing.pop(name, None)
        self._tell()

    def _tell(self) -> None:
        if self._failing:
            found = "; ".join(f"{name}: {why}" for name, why in self._failing.items())
            self._faults.report(FAULT, f"emails of configuration sets go out untracked: {found}")
        else:
            self._faults.mend(FAULT)


def _seal(
    ring: KeyRing, message_id: str, chosen: ConfigurationSet, reader: str
) -> Callable[[int, str], str]:
    if not chosen.rules.anonymous:
        return ring.sealer(message_id, chosen.name).seal
    return ring.anonymous_sealer(anonymous_origin(chosen.name, reader, made_at(message_id))).seal


def hosts_of(hosts: TrackingHosts, chosen: ConfigurationSet) -> TrackingHosts:
    """Return where the links of a configuration set point. Raises `InvalidInput`."""
    return hosts.at(_checked(chosen.redirect_domain)) if chosen.redirect_domain else hosts


def _apply(
    rules: Rules, policy: Policy, header: HeaderSection, extension: Extension | None
) -> None:
    """Have a policy follow rules, for an email with that header.

    Raises `InvalidInput`: see `staying`.
    """
    policy.link_limit = rules.link_limit or sys.maxsize
    unsubscribe = () if rules.track_unsubscribe else header.values("list-unsubscribe")
    policy.stays = staying(rules, unsubscribe)
    policy.extended = None if extension is None else extension.of
    if rules.pass_parameters:
        link = policy.link
        policy.link = lambda index, url: link(index | PASSES, url)


_checked = lru_cache(maxsize=256)(tracking_host)
"""Old stores may hold domains that were never checked."""


def _remembering(
    link: Callable[[int, str], str], made: dict[int, str]
) -> Callable[[int, str], str]:
    def remembering(index: int, url: str) -> str:
        made[index] = link(index, url)
        return made[index]

    return remembering


def _rewritten(raw: bytes, policy: Policy, made: dict[int, str], *, keep_html: bool) -> Rewritten:
    done = rewrite_message(raw, policy, keep_html=keep_html)
    if not done.html:
        return done
    return replace(done, html=tuple(_without_tokens(part, made) for part in done.html))


def _without_tokens(html: str, made: dict[int, str]) -> str:
    """Return HTML in which links are places to point at: whoever looks at it clicks nothing."""
    places = {url: place_of(index) for index, url in made.items()}
    prefixes = {url[: url.rindex("/") + 1] for url in places}
    # RFC 4648 § 5: a token is base64url.
    links = re.compile(f"(?:{'|'.join(map(re.escape, sorted(prefixes)))})[A-Za-z0-9_-]+")
    return links.sub(lambda found: places.get(found[0], found[0]), html)
