"""Patterns of scanners and of people: what is asked of an email, and what becomes of it.

In whatever order an email's clicks come, in whatever batches and to whichever publisher, in the
end each has the verdict that it would have if all had come at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from clicktrail.base.ids import new_id
from clicktrail.model import HONEYPOT_LINK, Click, Message, Request
from clicktrail.store import Store
from support.counting import counted
from support.publishing import click

SECOND = 1_000_000
HIDDEN = HONEYPOT_LINK
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/142.0.0.0 Safari/537.36"
)
EDGE = f"{CHROME} Edg/142.0.0.0"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
LYNX = "Lynx/2.9.0dev.12 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.8.3"
OFFICE = "Mozilla/4.0 (compatible; ms-office; MSOffice rmj)"
GATEWAY = "203.0.113.77"
"""An address of a known mail gateway."""


@dataclass(frozen=True)
class At:
    """A request for a link: so many seconds after the first, and what becomes of it."""

    seconds: float
    link: int
    expected: str = ""
    """Verdict and reasons; nothing for the hidden link and for ``HEAD``, which are no clicks."""
    ip: str = "198.51.100.3"
    agent: str = CHROME
    shown: int = 0
    """What the request shows beside the User-Agent: nothing that is known."""


HUMAN = "human"
TABS = "suspect burst"
RUSH = "machine burst"
TRAPPED = "machine honeypot"
BOTH = "machine honeypot burst"
SWEEP = "suspect sweep"
SWEPT = "machine honeypot sweep"
LOOKED = Request.LOOKED
SHOWN = Request.LOOKED | Request.HTML | Request.LANGUAGE

MACHINES = {
    "five links at once from five addresses": [
        At(n / 50, n, RUSH, f"203.0.113.{n}") for n in range(5)
    ],
    "five links at once from five addresses, as five browsers": [
        At(n / 50, n, RUSH, f"203.0.113.{n}", agent)
        for n, agent in enumerate((CHROME, EDGE, FIREFOX, IPHONE, CHROME))
    ],
    "five links at once from five addresses, the hidden one among them": [
        *(At(n / 50, n, BOTH, f"203.0.113.{n}") for n in range(5)),
        At(0.15, HIDDEN, ip="203.0.113.9"),
    ],
    "one link and the hidden one, from two addresses": [
        At(0, 0, TRAPPED, "203.0.113.1"),
        At(1.5, HIDDEN, ip="203.0.113.2"),
    ],
    "one link after another, the hidden one in the middle": [
        *(At(n * 1.9, n, BOTH, f"203.0.113.{n}") for n in range(5)),
        At(4.5, HIDDEN, ip="203.0.113.9"),
    ],
    "the hidden link, and hours later others from the same address": [
        At(0, HIDDEN),
        At(3600, 0, TRAPPED),
        At(-3600, 1, TRAPPED),
    ],
    "every link by Office": [
        At(n / 10, n, "machine user-agent burst", agent=OFFICE) for n in range(3)
    ],
    "a known gateway looks at one link, and at another": [
        At(0, 0, "machine network", GATEWAY),
        At(30, 1, "machine network", GATEWAY),
    ],
    "a scanner without a name opens two links": [
        At(0, 0, "machine no-user-agent burst", agent=""),
        At(0.2, 1, "machine no-user-agent burst", agent=""),
    ],
    "one link after another, every three seconds": [At(n * 3, n, SWEEP) for n in range(5)],
    "one link after another, from as many addresses": [
        At(n * 9, n, SWEEP, f"203.0.113.{n}", agent)
        for n, agent in enumerate((CHROME, EDGE, FIREFOX, IPHONE))
    ],
    "three links again and again": [At(n * 7, n // 2, SWEEP) for n in range(6)],
    "slowly, in the order of the email": [At(n * 35, n, SWEEP) for n in range(5)],
    "one link after another, slowly, the hidden one in the middle": [
        *(At(n * 8, n, SWEPT, f"203.0.113.{n}") for n in range(4)),
        At(20, HIDDEN, ip="203.0.113.9"),
    ],
    "looks at each link first": [
        *(At(n * 70, n, "suspect head", shown=SHOWN) for n in range(3)),
        *(At(n * 70 - 1, n, shown=SHOWN | Request.HEAD) for n in range(3)),
    ],
    "looks at three links at once, and opens one": [
        *(At(n / 10, n, ip=f"203.0.113.{n}", shown=SHOWN | Request.HEAD) for n in range(3)),
        At(1, 3, RUSH, "203.0.113.9", shown=SHOWN),
    ],
    "a library that names itself a browser": [At(0, 0, "machine no-headers", shown=LOOKED)],
    "a browser without a window that names itself another": [
        At(0, 0, "machine client-hints", shown=SHOWN | Request.HINTS | Request.HEADLESS)
    ],
    "a browser without a language that opens two links": [
        At(n, n, "machine burst few-headers", shown=LOOKED | Request.HTML) for n in range(2)
    ],
    "a picture of a page": [At(0, 0, "machine preview", shown=SHOWN | Request.PREVIEW)],
    "a scanner and its person, who comes a moment later": [
        At(0, 0, "suspect double-fetch", "203.0.113.5", CHROME, SHOWN),
        At(2.5, 0, HUMAN, "198.51.100.3", IPHONE, SHOWN),
    ],
    "one link by many, at once": [
        At(n / 5, 0, TABS, f"203.0.113.{n}", agent)
        for n, agent in enumerate((CHROME, EDGE, CHROME))
    ],
    "two runs of a scanner, minutes apart": [
        At(start + n / 10, n, RUSH, f"203.0.113.{start + n}")
        for start in (0, 120)
        for n in range(4)
    ],
    "a scanner looks at all links when the email arrives, and a person reads it later": [
        *(At(n / 10, n, RUSH, f"203.0.113.{n}") for n in range(5)),
        At(300, 2, HUMAN),
        At(330, 3, HUMAN),
    ],
}

PEOPLE = {
    "five links within ten minutes": [At(n * 140, n, HUMAN) for n in range(5)],
    "all of a short email, a minute apart, in its order": [
        At(n * 60, n, HUMAN, shown=SHOWN) for n in range(5)
    ],
    "five links in tabs, not in the order of the email": [
        At(n * 30, link, HUMAN, shown=SHOWN) for n, link in enumerate((3, 0, 4, 1, 2))
    ],
    "a text browser": [At(0, 0, HUMAN, agent=LYNX, shown=LOOKED | Request.HTML)],
    "an old browser, and one that nobody knows": [
        At(0, 0, HUMAN, agent="Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko"),
        At(50, 0, HUMAN, agent="Example/1.0", shown=LOOKED),
    ],
    "somebody looks at the link elsewhere": [
        At(0, 0, ip="203.0.113.5", shown=LOOKED | Request.HEAD),
        At(1, 0, HUMAN, shown=SHOWN),
    ],
    "a link of a password reset, twice": [At(0, 0, HUMAN), At(0.4, 0, HUMAN)],
    "a link that opens slowly, over and over": [At(n / 3, 0, HUMAN) for n in range(9)],
    "two quick links in tabs": [At(0, 0, TABS), At(1.2, 1, TABS), At(90, 2, HUMAN)],
    "two quick links in tabs through a private relay": [
        At(0, 0, TABS, "172.225.6.10", IPHONE),
        At(1.2, 1, TABS, "172.225.6.44", IPHONE),
    ],
    "each request from another address of a private relay": [
        At(n * 12, n % 3, HUMAN, f"172.225.6.{n}", IPHONE) for n in range(8)
    ],
    "a family behind one address": [
        At(0, 0, HUMAN, agent=CHROME),
        At(40, 1, HUMAN, agent=IPHONE),
        At(41, 1, HUMAN, agent=FIREFOX),
    ],
    "an email that was forwarded": [
        At(0, 0, HUMAN, "198.51.100.3", CHROME),
        At(240, 0, HUMAN, "192.0.2.200", IPHONE),
        At(300, 1, HUMAN, "192.0.2.200", IPHONE),
    ],
    "Office looks at a link before the browser opens it": [
        At(0, 0, "machine user-agent", agent=OFFICE),
        At(0.6, 0, HUMAN, agent=EDGE),
    ],
    "Excel looks twice before the browser opens it": [
        At(-0.2, 0, agent=OFFICE, shown=LOOKED | Request.HEAD),
        At(0, 0, "machine user-agent head", agent=OFFICE, shown=LOOKED),
        At(0.6, 0, HUMAN, agent=EDGE, shown=SHOWN),
    ],
    "a known gateway looks at a link while the person opens it": [
        At(0, 0, "machine network", GATEWAY),
        At(0.2, 0, HUMAN),
    ],
    "a person, long after a scanner followed the hidden link from elsewhere": [
        At(0, HIDDEN, ip="203.0.113.9"),
        At(0.3, 1, TRAPPED, "203.0.113.8"),
        At(60, 0, HUMAN),
    ],
}

PATTERNS = MACHINES | PEOPLE


def clicks_of(message: Message, pattern: Iterable[At], at: int) -> list[tuple[Click, str]]:
    found = []
    for each in pattern:
        clicked_at = at + round(each.seconds * SECOND)
        made = click(message, 0, clicked_at=clicked_at, ip=each.ip, user_agent=each.agent)
        url = message.links[each.link].url if each.link != HIDDEN else "https://example.com/"
        made = replace(
            made, event_id=new_id(clicked_at), link=each.link, url=url, request=each.shown
        )
        found.append((made, each.expected))
    return found


async def verdicts(store: Store) -> dict[str, str]:
    """Return verdict and reasons of all clicks that are kept, by event id."""
    return {
        row.click.event_id: " ".join((row.verdict, *row.reasons))
        for row in await store.browse.newest_clicks(5000)
    }


async def check(store: Store, made: Sequence[tuple[Click, str]]) -> None:
    """See that every click has its verdict, and that all counters say the same."""
    expected = {each.event_id: verdict for each, verdict in made if verdict}
    assert await verdicts(store) == expected
    human = sum(verdict.split()[0] == HUMAN for verdict in expected.values())
    day = await counted(store)
    assert (day.clicks, day.human_clicks) == (len(expected), human)
    for rows in (await store.pages.links(), await store.statistics.tags()):
        assert all(0 <= row.human_clicks <= row.clicks for row in rows)
    assert sum(row.human_clicks for row in await store.pages.links()) == human
    for message_id in {each.message_id for each, _ in made}:
        places, _ = await store.trail.links(message_id)
        of_email = [v for e, v in made if e.message_id == message_id and v.split()[:1] == [HUMAN]]
        assert sum(place.human_clicks for place in places.values()) == len(of_email)
