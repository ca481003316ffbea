"""Why a click is not a person's, or may not be: one table for all who judge, keep and tell it."""

from collections.abc import Iterable
from typing import NamedTuple

from clicktrail.model import USUAL, Judgement, Verdict


class Why(NamedTuple):
    """A reason in words, and what it weighs.

    1; 2 where people do not give it at all; 0 where it says nothing of who clicked.
    """

    sentence: str
    weight: int


REASONS = {
    "user-agent": Why(
        "The User-Agent names itself a crawler, a scanner, a link preview or a program library.", 2
    ),
    "no-user-agent": Why("The request has no User-Agent.", 1),
    "network": Why("The address is in a network from which a security service looks at links.", 2),
    "cloud": Why(
        "The address is in a cloud's network, where servers are rented: some are scanners, some"
        " are VPNs of people.",
        1,
    ),
    "honeypot": Why(
        "The email's hidden link was followed: from the same address, or in the same rush.", 2
    ),
    "gateway": Why(
        "From the same network (/24, or /64 of IPv6), links in the emails of many recipients were"
        " opened within minutes after each was accepted, and next to none later: by the same"
        " browser, or the same of several links, or all within the first minute.",
        1,
    ),
    "too-fast": Why("The click came less than a second after the email was accepted.", 1),
    "burst": Why(
        "Different links of the email were opened within two seconds, or one of them by three"
        " visitors with different browsers. Three links weigh 2.",
        1,
    ),
    "no-headers": Why(
        "The User-Agent is that of a browser, and none of the headers is there that it sends.", 2
    ),
    "few-headers": Why(
        "The User-Agent is that of a browser, and some of the headers are missing or different"
        " that it sends when somebody opens a link.",
        1,
    ),
    "client-hints": Why(
        "The client hints of the request name another browser, version or system than its"
        " User-Agent. A browser without a window weighs 2.",
        1,
    ),
    "preview": Why("The request says that it is for a preview.", 2),
    "head": Why(
        "The same address and browser has asked for a link of the email without opening it (HEAD),"
        " within 40 seconds.",
        1,
    ),
    "proxy": Why(
        "The image of an open was fetched by the proxy of a mail service, which may do so when"
        " nobody looks.",
        1,
    ),
    "sweep": Why(
        "Link after link of the email was opened, each soon after the one before, too many for"
        " somebody who reads what opens.",
        1,
    ),
    "double-fetch": Why(
        "Somebody else, at another address and with another browser, opened the same link within"
        " five seconds after it: as a scanner does that looks at a link before it lets the person"
        " through.",
        1,
    ),
    "altered": Why(
        "Something stood in the tracking link or behind it that does not belong there: it led on"
        " all the same.",
        0,
    ),
}
"""By id, in the order in which they are told."""


def why(reasons: Iterable[str]) -> list[tuple[str, str]]:
    """Return reasons with their sentences; one that is no longer given stands for itself."""
    return [(id_, REASONS[id_].sentence if id_ in REASONS else id_) for id_ in reasons]


def judgement_of(
    reasons: Iterable[str], weight: int, suspect: int = USUAL.suspect, machine: int = USUAL.machine
) -> Judgement:
    """Return the judgement of a click with those reasons, of that weight together.

    ``suspect`` and ``machine`` are what such clicks weigh at least (`Thresholds`).
    """
    if weight >= machine:
        return Judgement(Verdict.MACHINE, tuple(reasons))
    return Judgement(Verdict.SUSPECT if weight >= suspect else Verdict.HUMAN, tuple(reasons))
