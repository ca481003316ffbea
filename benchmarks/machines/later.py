"""More scenarios, written from their sources when the rules were there, and without a look at them.

At first two of them were told badly: links opened again and again (16 % human), and people who
look at all of a short email (6 % suspect). The rules were changed for their kind.
"""

import random

from browsers import DESKTOP, EVERYBODY, IPHONE, VIEWS, Headers, library
from session import Ask, Scenario, Session, address, hours, opens


def _full(chance: random.Random) -> Headers:
    return chance.choice(DESKTOP).headers(chance, True)


# Machines


def milliseconds(chance: random.Random) -> Session:
    """All links within milliseconds, tens of seconds after delivery; a person reads later."""
    links, start = chance.randint(2, 15), chance.uniform(20, 400)
    headers, fleet = _full(chance), f"198.18.{chance.randrange(256)}"
    asks = [
        Ask(start + chance.uniform(0, 0.09), n, address(chance, fleet), headers, True)
        for n in range(links)
    ]
    person = opens(chance, [start + 200 + hours(chance)], links, False)
    return Session(links, asks + person.asks)


def no_name(chance: random.Random) -> Session:
    """``HEAD`` without a User-Agent, and ``GET`` where that does not satisfy."""
    at, ip = chance.uniform(1, 120), address(chance)
    bare: Headers = [("Host", "click.example.com"), ("Connection", "Keep-Alive")]
    look = Ask(at, 0, ip, bare, True, "HEAD")
    return Session(2, [look, Ask(at + chance.uniform(0.05, 2), 0, ip, bare, True)])


def first_few(chance: random.Random) -> Session:
    """The first links of a newsletter, each several times."""
    at, ip, headers = chance.uniform(5, 600), address(chance), _full(chance)
    if chance.random() < 0.3:
        headers = library("python-requests/2.32.3")
    asks = []
    for link in range(chance.randint(3, 5)):
        for _ in range(chance.randint(2, 3)):
            asks.append(Ask(at, link, ip, headers, True))
            at += chance.uniform(0.3, 6)
    return Session(chance.randint(10, 25), asks)


def rapid_from_one(chance: random.Random) -> Session:
    """A rapid sequence from one address, with another browser's name each time."""
    at, ip, links = chance.uniform(2, 3600), address(chance), chance.randint(3, 12)
    asks = []
    for link in chance.sample(range(links), max(3, links // 2)):
        asks.append(Ask(at, link, ip, _full(chance), True))
        at += chance.expovariate(1 / 0.8)
    return Session(links, asks)


def two_passes(chance: random.Random) -> Session:
    """At delivery, and once more when the email is opened; the person clicks after that."""
    links, opened = chance.randint(3, 10), hours(chance) + 300
    asks = []
    for start in (chance.uniform(1, 30), opened):
        ip, headers = address(chance), _full(chance)
        asks += [
            Ask(start + n * chance.uniform(0.05, 0.5), n, ip, headers, True) for n in range(links)
        ]
    person = opens(chance, [opened + chance.uniform(45, 300)], links, False)
    return Session(links, asks + person.asks)


def clusters(chance: random.Random) -> Session:
    """A cluster, a person, a cluster: forwarded within a domain that scans."""
    links = chance.randint(4, 8)
    asks, at = [], chance.uniform(10, 300)
    for _ in range(2):
        ip, headers = address(chance), _full(chance)
        asks += [Ask(at + chance.uniform(0, 8), n, ip, headers, True) for n in range(links)]
        person = opens(chance, [at + chance.uniform(120, 3000)], links, False)
        asks += person.asks
        at = person.asks[0].at + chance.uniform(120, 3000)
    return Session(links, asks)


def any_order(chance: random.Random) -> Session:
    """Half of the links or more, in any order, some seconds for each, from changing addresses."""
    links, at = chance.randint(8, 20), chance.uniform(5, 900)
    headers = _full(chance)
    asks = []
    for link in chance.sample(range(links), chance.randint(links // 2, links)):
        asks.append(Ask(at, link, address(chance), headers, True))
        at += chance.uniform(2, 14)
    return Session(links, asks)


def own_antivirus(chance: random.Random) -> Session:
    """A program on a person's own computer looks at all links; the person clicks later."""
    links, ip, start = chance.randint(3, 9), address(chance), hours(chance)
    browser = chance.choice([each for each in DESKTOP if each.chromium])
    asks = [
        Ask(start + n * chance.uniform(0.02, 0.4), n, ip, library(browser.agent), True)
        for n in range(links)
    ]
    at = start + chance.uniform(40, 600)
    asks.append(Ask(at, chance.randrange(links), ip, browser.headers(chance, True), False))
    return Session(links, asks)


def unsubscribes(chance: random.Random) -> Session:
    """One gateway follows one link of each recipient's email, from one address."""
    ask = Ask(chance.uniform(2, 480), 5, "198.18.0.77", _full(chance), True)
    return Session(6, [ask])


# Machines of which a click says nothing


def after_the_person(chance: random.Random) -> Session:
    """The person, and seconds after a scanner elsewhere, as another system's browser."""
    session = opens(chance, [hours(chance)], 4, False)
    person = session.asks[0]
    session.asks.append(
        Ask(person.at + chance.uniform(6, 15), person.link, address(chance), _full(chance), True)
    )
    return session


# People


def in_tabs(chance: random.Random) -> Session:
    """Two or three links in tabs, some seconds apart, of an email with more."""
    start = hours(chance)
    times = [start, start + chance.uniform(2.5, 9)]
    if chance.random() < 0.4:
        times.append(times[-1] + chance.uniform(2.5, 9))
    return opens(chance, times, chance.randint(5, 20), chance.random() < 0.7)


def short_email(chance: random.Random) -> Session:
    """All three links of a short email, one after the other is read."""
    start, times = hours(chance), []
    for _ in range(3):
        times.append(start)
        start += 5 + chance.expovariate(1 / 45)
    return opens(chance, times, 3, True)


def impatient(chance: random.Random) -> Session:
    """A page that opens slowly is asked for again and again."""
    browser, ip, at = chance.choice(EVERYBODY), address(chance), hours(chance)
    asks = []
    for _ in range(chance.randint(2, 6)):
        asks.append(Ask(at, 0, ip, browser.headers(chance, True), False))
        at += chance.uniform(0.2, 4)
    return Session(5, asks)


def out_of_the_app(chance: random.Random) -> Session:
    """In an app's web view, and then the same page in the browser."""
    at, ip = hours(chance), address(chance)
    view, later = chance.choice(VIEWS[:3]), at + chance.uniform(3, 20)
    first = Ask(at, 0, ip, view.headers(chance, True), False)
    relay = address(chance, "172.225.3") if chance.random() < 0.3 else ip
    return Session(4, [first, Ask(later, 0, relay, IPHONE.headers(chance, True), False)])


def company_vpn(chance: random.Random) -> Session:
    """A company's people, all of whom come from one address of a cloud, from nine to ten."""
    session = opens(chance, [chance.uniform(0, 3600)], 9, False)
    for ask in session.asks:
        ask.ip = "198.18.0.99"
    return session


_ISSUES = "https://github.com/"
LATER: dict[str, tuple[Scenario, str]] = {
    "all links in milliseconds": (milliseconds, _ISSUES + "MillionSend/millionsend/pull/22"),
    "without a name": (no_name, _ISSUES + "SergeyMosin/Appointments/issues/293"),
    "the first links, again and again": (
        first_few,
        _ISSUES + "putyourlightson/craft-campaign/issues/546",
    ),
    "rapidly, as many browsers": (
        rapid_from_one,
        "https://docs.laposta.org/article/943-clicks-by-bots-spam-filters",
    ),
    "at delivery, and when opened": (
        two_passes,
        "https://support.arternal.com/en/articles/15216436",
    ),
    "cluster, person, cluster": (clusters, _ISSUES + "anymail/django-anymail/issues/200"),
    "in any order, from many addresses": (any_order, _ISSUES + "mautic/mautic/issues/16263"),
    "an antivirus on the own computer": (
        own_antivirus,
        _ISSUES + "jdavidbakr/mail-tracker/issues/228",
    ),
    "one link of each email, from one address": (
        unsubscribes,
        _ISSUES + "SparkDevNetwork/Rock/issues/7034",
    ),
    "two or three tabs": (in_tabs, "clicktrail's own"),
    "all of a short email": (short_email, "clicktrail's own"),
    "again, as it is slow": (impatient, "clicktrail's own"),
    "out of an app into the browser": (out_of_the_app, "clicktrail's own"),
    "a company's VPN in a cloud": (company_vpn, "clicktrail's own"),
}
LATER_UNKNOWABLE: dict[str, tuple[Scenario, str]] = {
    "a scanner after the person": (after_the_person, _ISSUES + "resend/resend-node/issues/901"),
}
