"""A session of an email, and what sessions are made of. Times are seconds after it was accepted."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from browsers import EVERYBODY, Headers

HIDDEN = -1
"""The email's hidden link, where its configuration set has one."""


@dataclass
class Ask:
    """A request for a link. ``machine`` says who really sends it."""

    at: float
    link: int
    ip: str
    headers: Headers
    machine: bool
    method: str = "GET"


@dataclass
class Session:
    """An email with so many links, and what is asked of it."""

    links: int
    asks: list[Ask] = field(default_factory=list)


Scenario = Callable[[random.Random], Session]


def address(chance: random.Random, first: str = "") -> str:
    """Return an address of the benchmarking network (RFC 2544), or of one that is given."""
    network = first or f"198.{chance.choice((18, 19))}.{chance.randrange(256)}"
    return f"{network}.{chance.randrange(1, 255)}"


def hours(chance: random.Random) -> float:
    """Return when a person reads: minutes to a day after."""
    return float(min(chance.lognormvariate(8.5, 1.5) + 20, 86_400))


def opens(chance: random.Random, times: list[float], links: int, in_order: bool) -> Session:
    """Return a person's visits at those times."""
    browser, ip = chance.choice(EVERYBODY), address(chance)
    chosen = chance.sample(range(links), len(times))
    order = sorted(chosen) if in_order else chosen
    secure = chance.random() < 0.7
    return Session(
        links,
        [
            Ask(at, link, ip, browser.headers(chance, secure), False)
            for at, link in zip(sorted(times), order, strict=True)
        ],
    )
