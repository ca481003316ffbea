"""Clicks from one address in the emails of many: of gateways, and of people."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from clicktrail.base.ids import now_us
from clicktrail.model import Click, Link, Message
from support.patterns import CHROME, EDGE, FIREFOX, HUMAN, IPHONE, SHOWN, At, clicks_of
from support.publishing import HOUR

SECOND = 1_000_000
ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/142.0.0.0 Mobile Safari/537.36"
)
FOUND = "suspect gateway"
MANY = (CHROME, EDGE, FIREFOX, IPHONE, ANDROID)
"""No browser has most of the clicks of people."""


@dataclass(frozen=True)
class Crowd:
    """What is opened in so many emails, each so many seconds after it was accepted."""

    delays: Sequence[float]
    expected: str = FOUND
    links: Sequence[int] = (0,)
    """In turns, as agents and addresses are."""
    agents: Sequence[str] = (CHROME,)
    addresses: Sequence[str] = ("192.0.2.40",)
    email_links: int = 5
    readers: int = 1000


def over(number: int, first: float, last: float) -> list[float]:
    """Return so many times between two."""
    return [first + (last - first) * n / (number - 1) for n in range(number)]


def reading(number: int) -> list[float]:
    """Return when people read who were told at once: most in minutes, some much later."""
    return [12 + 40 * 1.12**n for n in range(number)]


GATEWAYS = {
    "the first link of each, by one browser": Crowd(over(12, 4, 400)),
    "any link of each, by one browser, in a minute": Crowd(over(12, 4, 58), links=(0, 3, 1, 4)),
    "the only link of each, in a minute": Crowd(over(12, 4, 58), email_links=1),
    "any link, by one browser, over minutes": Crowd(over(30, 4, 500), links=(0, 3, 1, 4)),
    "the first link, by many browsers": Crowd(over(30, 4, 500), agents=MANY),
    "any link, by many browsers, in three minutes": Crowd(
        over(30, 4, 170), links=(2, 0, 3), agents=MANY
    ),
    "from many addresses of a network": Crowd(
        over(12, 4, 90), addresses=[f"192.0.2.{n}" for n in range(12)]
    ),
    "from many addresses of a network of IPv6": Crowd(
        over(12, 4, 90), addresses=[f"2001:db8:1:2:{n:x}::7" for n in range(12)]
    ),
    "two readers, with more emails than they read": Crowd(over(26, 4, 90), readers=2),
}

PEOPLE = {
    "an office that reads a newsletter": Crowd(reading(35), HUMAN, (0, 3, 1, 4), MANY),
    "an office that reads an email of one link": Crowd(
        reading(35), HUMAN, (0,), MANY, email_links=1
    ),
    "an office of one browser": Crowd(reading(35), HUMAN, (0, 3, 1, 4)),
    "an office of one browser that opens the first link": Crowd(reading(35), HUMAN),
    "phones of a carrier, told at once": Crowd(
        over(30, 2, 8), HUMAN, agents=(IPHONE, ANDROID), email_links=2
    ),
    "people who wait for a link to sign in": Crowd(
        over(30, 4, 40), HUMAN, (0,), MANY, email_links=1
    ),
    "an hour after the email came": Crowd(over(12, 3610, 3640), HUMAN),
    "few": Crowd(over(7, 4, 40), HUMAN),
    "one reader of some": Crowd(over(20, 4, 400), HUMAN, readers=1),
}

CROWDS = GATEWAYS | PEOPLE


def accepted() -> int:
    """Return when emails were accepted some hours ago: all of them in the same hour."""
    return (now_us() // HOUR - 3) * HOUR + 60 * SECOND


async def clicks_of_crowds(
    email: Callable[..., Awaitable[Message]],
) -> list[tuple[Click, str]]:
    """Return the clicks of all crowds, each from a network of its own."""
    made: list[tuple[Click, str]] = []
    for number, crowd in enumerate(CROWDS.values()):
        own = [at.replace("192.0.2.", f"198.18.{number}.") for at in crowd.addresses]
        made += await clicks_of_crowd(replace(crowd, addresses=own), email, accepted())
    return made


async def clicks_of_crowd(
    crowd: Crowd, email: Callable[..., Awaitable[Message]], accepted_at: int
) -> list[tuple[Click, str]]:
    """Return the clicks of a crowd, with what becomes of them; each on an email of its own."""
    links = tuple(Link(n, f"https://example.com/{n}") for n in range(crowd.email_links))
    made: list[tuple[Click, str]] = []
    for number, delay in enumerate(crowd.delays):
        one = At(
            delay,
            crowd.links[number % len(crowd.links)],
            crowd.expected,
            crowd.addresses[number % len(crowd.addresses)],
            crowd.agents[number % len(crowd.agents)],
            SHOWN,
        )
        at, reader = accepted_at + number * 1000, number % crowd.readers
        message = await email(
            accepted_at=at, recipients=(f"reader{reader}@example.org",), links=links
        )
        made += clicks_of(message, [one], at)
    return made
