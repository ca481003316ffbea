"""Gateways that open one link of each email, and people who come from one address.

A click alone says nothing of which it is: here a scenario's sessions have their addresses in
common. Written down before their rule was finished, from the sources and from what networks are
known to do; of some the rule says nothing, and they are shown apart.
"""

import math
import random

from browsers import CHROME, DESKTOP, EVERYBODY, IPHONE, PHONES, Browser
from session import Ask, Scenario, Session, address, hours, opens


def _one(
    chance: random.Random,
    at: float,
    links: int,
    link: int,
    ip: str,
    browser: Browser,
    machine: bool,
) -> Session:
    return Session(links, [Ask(at, link, ip, browser.headers(chance), machine)])


def _around(chance: random.Random, median: float, spread: float) -> float:
    """Return how long somebody takes who is told at once: around so many seconds."""
    return chance.lognormvariate(math.log(median), spread)


# Machines


def first_link(chance: random.Random) -> Session:
    """The first link of each email, a few moments after it was accepted, as one browser."""
    return _one(chance, chance.uniform(3, 90), 6, 0, "240.0.1.7", CHROME, True)


def any_link(chance: random.Random) -> Session:
    """One link by chance, within minutes, from four addresses."""
    ip = f"240.0.{chance.randrange(2, 6)}.9"
    return _one(chance, chance.uniform(5, 300), 8, chance.randrange(8), ip, DESKTOP[1], True)


def only_link(chance: random.Random) -> Session:
    """The only link of a short email, within a minute."""
    return _one(chance, chance.uniform(2, 58), 1, 0, "240.0.6.1", DESKTOP[2], True)


def fleet(chance: random.Random) -> Session:
    """From any address of a network, with any browser's name, one link by chance."""
    links = chance.randint(3, 12)
    browser, ip = chance.choice(EVERYBODY), address(chance, "240.0.7")
    return _one(chance, chance.uniform(4, 170), links, chance.randrange(links), ip, browser, True)


def before_its_people(chance: random.Random) -> Session:
    """A gateway in a company's own network; its people read later, from the same address."""
    session = _one(chance, _around(chance, 25, 0.8), 5, 0, "240.0.8.1", CHROME, True)
    if chance.random() < 0.3:
        person = opens(chance, [3700 + hours(chance)], 5, False)
        person.asks[0].ip = "240.0.8.1"
        session.asks += person.asks
    return session


def trickle(chance: random.Random) -> Session:
    """A cluster of seconds to five minutes, of emails with one link: a call to action."""
    return _one(chance, chance.uniform(10, 300), 1, 0, "240.0.9.4", DESKTOP[4], True)


# Machines of which a click says nothing


def only_link_as_many(chance: random.Random) -> Session:
    """The only link of a short email, each time as another browser: as people behind one address
    do who wait for it."""
    browser = chance.choice(DESKTOP)
    return _one(chance, chance.uniform(5, 120), 1, 0, "240.0.10.1", browser, True)


# People


def office_at_nine(chance: random.Random) -> Session:
    """One of 200 behind an address; the newsletter came minutes before nine. Some open more."""
    times = [20 + abs(chance.gauss(300, 200))]
    while chance.random() < 0.3:
        times.append(times[-1] + 8 + chance.expovariate(1 / 60))
    asks = opens(chance, times, 9, False)
    for ask in asks.asks:
        ask.ip = "240.0.20.1"
    return asks


def office_short(chance: random.Random) -> Session:
    """The same, and the email has one link: all open the same."""
    at = 15 + _around(chance, 280, 1)
    return _one(chance, at, 1, 0, "240.0.21.1", chance.choice(EVERYBODY), False)


def office_of_one_browser(chance: random.Random) -> Session:
    """The same, where a company gives all of its people the same browser, kept up to date."""
    at = 20 + chance.expovariate(1 / 900)
    return _one(chance, at, 9, chance.randrange(9), "240.0.22.1", DESKTOP[2], False)


def conference(chance: random.Random) -> Session:
    """The slides, sent to all in the room: one address, one link, a minute or two later."""
    at = 5 + _around(chance, 90, 1)
    return _one(chance, at, 1, 0, "240.0.23.1", chance.choice(EVERYBODY), False)


def carrier(chance: random.Random) -> Session:
    """Phones of a carrier whose customers share few addresses (RFC 6598), within minutes."""
    links = 7
    link = 0 if chance.random() < 0.5 else chance.randrange(links)
    ip, at = f"240.0.24.{chance.randrange(4)}", 4 + chance.expovariate(1 / 240)
    return _one(chance, at, links, link, ip, chance.choice(PHONES), False)


def carrier_after_a_push(chance: random.Random) -> Session:
    """The same, two seconds after a push notification: all tap the first of two links."""
    at, ip = 1.6 + chance.expovariate(1 / 1.5), f"240.0.25.{chance.randrange(4)}"
    return _one(chance, at, 2, 0, ip, chance.choice(PHONES), False)


def relay_in_a_hurry(chance: random.Random) -> Session:
    """iPhones behind one network of a private relay, all of the same version: minutes, and more."""
    at, ip = 5 + _around(chance, 400, 1.2), address(chance, "240.0.26")
    return _one(chance, at, 5, chance.randrange(5), ip, IPHONE, False)


def sign_in(chance: random.Random) -> Session:
    """An office signs in at nine, each by the link of an email that they wait for."""
    at = 4 + _around(chance, 16, 0.6)
    return _one(chance, at, 1, 0, "240.0.27.1", chance.choice(EVERYBODY), False)


def one_with_many(chance: random.Random) -> Session:
    """Somebody with a few notifications an hour, each looked at when it comes."""
    ip = address(chance)
    return _one(chance, 5 + _around(chance, 60, 1), 4, 0, ip, CHROME, False)


_ISSUES = "https://github.com/"
_ANYMAIL = _ISSUES + "anymail/django-anymail/issues/200"
_SUPED = (
    "https://www.suped.com/email-deliverability/answers/"
    "why-did-a-large-number-of-people-click-a-link-in-my-email-immediately-after-sending"
)
_OWN = "clicktrail's own"
CROWDS: dict[str, tuple[Scenario, str]] = {
    "one address: each email's first link": (first_link, _SUPED),
    "four addresses: any link of each": (any_link, _SUPED),
    "one address: the only link, in a minute": (only_link, _ANYMAIL),
    "one address: the only link, in minutes": (trickle, _ANYMAIL),
    "a network: any link, as many browsers": (
        fleet,
        "https://docs.laposta.org/article/943-clicks-by-bots-spam-filters",
    ),
    "a gateway, then its people": (
        before_its_people,
        _ISSUES + "putyourlightson/craft-campaign/issues/546",
    ),
    "an office at nine, just sent": (office_at_nine, _OWN),
    "an office at nine, one link": (office_short, _OWN),
    "an office of one browser": (office_of_one_browser, _OWN),
    "a conference's address": (conference, _OWN),
    "a carrier's addresses": (carrier, "RFC 6598"),
    "a carrier's, after a push": (carrier_after_a_push, "RFC 6598"),
    "a private relay's, in a hurry": (
        relay_in_a_hurry,
        "https://developer.apple.com/support/prepare-your-network-for-icloud-private-relay/",
    ),
    "an office that signs in": (sign_in, _OWN),
    "notifications, read at once": (one_with_many, _OWN),
}
CROWDS_UNKNOWABLE: dict[str, tuple[Scenario, str]] = {
    "the only link, as many browsers": (only_link_as_many, _ANYMAIL),
}
