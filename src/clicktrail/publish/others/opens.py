"""Opens: who fetched the image, and what is told of it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial

from clicktrail.model import USUAL, Click, Judgement, Request, Thresholds, Verdict
from clicktrail.publish.event import open_event, open_object
from clicktrail.publish.nameless import signs_that_count
from clicktrail.publish.routing import Target, address
from clicktrail.publish.subjects import Subject
from clicktrail.publish.visitor_verdict import Judge, judgement
from clicktrail.publish.visitor_verdict.signs import PROXY, USER_AGENT
from clicktrail.store.clicks.opens import LoggedOpen, Open
from clicktrail.store.clicks.tally import Outgoing

APPLE, GMAIL, YAHOO = "Apple", "Gmail", "Yahoo"
"""Image proxies that name themselves: github.com/ua-parser/uap-core issue 509 (all of Apple's
User-Agent is ``Mozilla/5.0``), github.com/faisalman/ua-parser-js issue 494 (Gmail's, Yahoo's)."""

_MAIL_PROGRAM = re.compile("microsoft (?:office|outlook)|ms-?office", re.IGNORECASE)
"""Office fetches images when it shows an email. (Of links it looks at, it is a machine.)"""


@lru_cache(4096)
def proxy_of(user_agent: str) -> str:
    """Return the name of the image proxy that a User-Agent is of; ``""`` for any other."""
    if user_agent.strip() == "Mozilla/5.0":
        return APPLE
    if "GoogleImageProxy" in user_agent or "via ggpht.com" in user_agent:
        return GMAIL
    return YAHOO if "YahooMailProxy" in user_agent else ""


def judged(
    judge: Judge, click: Click, accepted_at: int | None, limits: Thresholds = USUAL
) -> tuple[Judgement, str]:
    """Return who opened an email, and the image proxy that fetched for them.

    Apple's fetches all images of all emails, read or not: a machine. Of those that fetch when
    somebody looks, and at other times, nothing is sure either.
    """
    # What browsers send when a link is opened, they do not send for an image.
    image = replace(click, request=click.request & Request.ALTERED)
    signs = signs_that_count(click, judge.signs(image, accepted_at, limits.too_fast))
    proxy = proxy_of(click.user_agent)
    if proxy or _MAIL_PROGRAM.search(click.user_agent):
        signs &= ~USER_AGENT
    signs |= PROXY if proxy else 0
    found = judgement(signs, limits.suspect, limits.machine)
    return (Judgement(Verdict.MACHINE, found.reasons) if proxy == APPLE else found), proxy


def logged_open(
    kept: Click,
    found: tuple[Judgement, str],
    subject: Subject,
    to: Sequence[Target],
    at: int,
) -> LoggedOpen:
    """Return an open to record. ``kept`` is as it may be kept, ``found`` who it was (`judged`)."""
    judgement, proxy = found
    opened = Open(
        kept.event_id,
        kept.message_id,
        kept.clicked_at,
        judgement.verdict,
        judgement.reasons,
        proxy,
        kept.ip,
        kept.user_agent,
    )
    outgoing: tuple[Outgoing, ...] = ()
    if to:
        event = partial(open_event, subject.mail, open_object(opened))
        outgoing = address(kept.event_id, to, event, at)
    return LoggedOpen(opened, subject.counted_at(kept.clicked_at).daily(), outgoing)
