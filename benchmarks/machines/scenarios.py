"""Who opens links of emails, and how: scenarios as public descriptions tell of them.

Each makes sessions of one email. ``SOURCES`` says where it is described. Times are seconds after
the email was accepted.
"""

import random
from collections.abc import Iterator

from browsers import (
    CHROME,
    DESKTOP,
    EVERYBODY,
    IPHONE,
    OLD,
    PHONES,
    Headers,
    library,
    text_headers,
)
from crowds import CROWDS, CROWDS_UNKNOWABLE
from later import LATER, LATER_UNKNOWABLE
from session import HIDDEN, Ask, Scenario, Session, address, hours, opens

# People


def one_link(chance: random.Random) -> Session:
    return opens(chance, [hours(chance)], chance.randint(1, 12), False)


def five_links(chance: random.Random) -> Session:
    """Within ten minutes; who reads a page stays some seconds, and some go down the email."""
    start = hours(chance)
    times = [start]
    while len(times) < 5:
        times.append(times[-1] + 3 + chance.expovariate(1 / 110))
    return opens(chance, times, chance.randint(5, 20), chance.random() < 0.5)


def after_a_push(chance: random.Random) -> Session:
    browser = chance.choice(PHONES)
    at = 1.6 + chance.expovariate(1 / 1.5)
    return Session(2, [Ask(at, 0, address(chance), browser.headers(chance), False)])


def family(chance: random.Random) -> Session:
    """Two or three people with an address in common, over an evening."""
    ip, start = address(chance), hours(chance)
    asks = []
    for browser in chance.sample(EVERYBODY, chance.randint(2, 3)):
        at = start + chance.uniform(0, 3 * 3600)
        asks.append(Ask(at, chance.randrange(8), ip, browser.headers(chance), False))
    return Session(8, asks)


def office(chance: random.Random) -> Session:
    """One of 200 behind an address, who open a newsletter at nine."""
    asks = opens(chance, [3600 + chance.gauss(300, 200)], 9, False)
    if chance.random() < 0.2:
        asks = opens(chance, [at := 3600 + chance.gauss(300, 200), at + 40], 9, False)
    for ask in asks.asks:
        ask.ip = "203.0.113.10"
    return asks


def forwarded(chance: random.Random) -> Session:
    first, start = opens(chance, [hours(chance)], 6, False), 0.0
    start = first.asks[0].at
    for _ in range(chance.randint(1, 3)):
        other = opens(chance, [start + chance.uniform(60, 7200)], 6, False)
        other.asks[0].link = first.asks[0].link
        first.asks += other.asks
    return first


def reset_twice(chance: random.Random) -> Session:
    browser, ip, start = chance.choice(EVERYBODY), address(chance), 10 + chance.expovariate(1 / 60)
    ask = [
        Ask(start + n * chance.uniform(0.3, 20), 0, ip, browser.headers(chance, True), False)
        for n in range(2)
    ]
    return Session(1, ask)


def private_relay(chance: random.Random) -> Session:
    start, asks = hours(chance), []
    for number in range(chance.randint(1, 4)):
        at = start + number * chance.uniform(8, 120)
        ip = address(chance, f"172.225.{chance.randrange(8)}")
        asks.append(Ask(at, chance.randrange(7), ip, IPHONE.headers(chance, True), False))
    return Session(7, asks)


def text_browser(chance: random.Random) -> Session:
    ask = Ask(hours(chance), 0, address(chance), text_headers(chance), False)
    return Session(3, [ask])


def old_browser(chance: random.Random) -> Session:
    browser = chance.choice(OLD)
    ask = Ask(hours(chance), 0, address(chance), browser.headers(chance), False)
    return Session(3, [ask])


# Machines


def _scanner(chance: random.Random, secure: bool = True) -> Headers:
    return chance.choice(DESKTOP).headers(chance, secure)


def _all_links(chance: random.Random, start: float, links: int, within: float) -> Session:
    pool = [address(chance) for _ in range(chance.randint(1, 8))]
    own = _scanner(chance)
    rotates = chance.random() < 0.5
    asks = [
        Ask(
            start + chance.uniform(0, within),
            link,
            chance.choice(pool),
            _scanner(chance) if rotates else own,
            True,
        )
        for link in range(links)
    ]
    return Session(links, asks)


def at_once(chance: random.Random) -> Session:
    return _all_links(chance, chance.uniform(2, 60), chance.randint(3, 20), chance.uniform(0.2, 2))


def two_at_once(chance: random.Random) -> Session:
    return _all_links(chance, chance.uniform(2, 60), 2, 1.5)


def hours_later(chance: random.Random) -> Session:
    start = chance.uniform(3600, 40_000)
    return _all_links(chance, start, chance.randint(3, 20), chance.uniform(0.5, 4))


def one_by_one(chance: random.Random) -> Session:
    """A second or a few for each, in the order of the email."""
    return _serial(chance, 1, 10, chance.randint(3, 14))


def over_minutes(chance: random.Random) -> Session:
    return _serial(chance, 8, 35, chance.randint(6, 14))


def _serial(chance: random.Random, least: float, most: float, links: int) -> Session:
    at, own, ip = chance.uniform(2, 300), _scanner(chance), address(chance)
    rotates, pace = chance.random() < 0.4, chance.uniform(least, most)
    asks = []
    for link in range(links):
        asks.append(Ask(at, link, address(chance) if rotates else ip, own, True))
        at += max(0.3, chance.gauss(pace, pace / 10))
    return Session(links, asks)


def into_the_trap(chance: random.Random) -> Session:
    """One by one, the hidden link among them, with half of the links."""
    session = _serial(chance, 1, 12, 8)
    kept = sorted(chance.sample(session.asks, 4), key=lambda ask: ask.at)
    trap = Ask(kept[2].at + 0.5, HIDDEN, kept[2].ip, kept[2].headers, True)
    return Session(8, [*kept, trap])


def at_click_time(chance: random.Random) -> Session:
    """A gateway looks, and then the person's browser comes."""
    session = opens(chance, [hours(chance)], 6, False)
    person = session.asks[0]
    different = [b for b in DESKTOP if ("User-Agent", b.agent) not in person.headers]
    browser = chance.choice(different)
    plain = chance.random() < 0.5
    headers = library(browser.agent) if plain else browser.headers(chance, True)
    before = chance.uniform(0.2, 4)
    look = Ask(person.at - before, person.link, address(chance), headers, True)
    return Session(6, [look, person])


def named_a_browser(chance: random.Random) -> Session:
    """A library for HTTP with a browser's User-Agent opens one link."""
    agent = chance.choice([*DESKTOP, *PHONES]).agent
    headers = library(agent, chance.choice(("*/*", "", "application/json, */*")))
    return Session(3, [Ask(chance.uniform(2, 5000), 0, address(chance), headers, True)])


def without_a_window(chance: random.Random) -> Session:
    """Headless Chrome that hides it: without a language, or with hints that tell."""
    browser = chance.choice([b for b in DESKTOP if b.chromium])
    headers = browser.headers(chance, True)
    if chance.random() < 0.5:
        headers = [h for h in headers if h[0] != "Accept-Language"]
    else:
        kind = chance.choice(("HeadlessChrome", "", "Linux"))
        hints = dict(
            browser.hints(
                brand="HeadlessChrome" if kind == "HeadlessChrome" else "",
                version=127 if not kind else 0,
                platform=("Windows" if browser.platform == "Linux" else "Linux")
                if kind == "Linux"
                else "",
            )
        )
        headers = [(name, hints.get(name, value)) for name, value in headers]
    return Session(3, [Ask(chance.uniform(2, 5000), 0, address(chance), headers, True)])


def looks_first(chance: random.Random) -> Session:
    """``HEAD`` for a link, then ``GET``."""
    at, ip, headers = chance.uniform(2, 3000), address(chance), _scanner(chance)
    look = Ask(at, 0, ip, headers, True, "HEAD")
    return Session(3, [look, Ask(at + chance.uniform(0.1, 5), 0, ip, headers, True)])


def office_programs(chance: random.Random) -> Session:
    """Word, Excel or Outlook look at a link themselves, and hand it to the browser."""
    at, ip = hours(chance), address(chance)
    name = chance.choice(
        (
            "Mozilla/4.0 (compatible; ms-office; MSOffice rmj)",
            "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; .NET4.0C;"
            " .NET4.0E; Microsoft Outlook 16.0.5266; ms-office; MSOffice 16)",
            "Microsoft Office Existence Discovery",
        )
    )
    asks = [Ask(at, 0, ip, library(name), True)]
    if chance.random() < 0.5:
        look = library("Microsoft Office Excel 2014 (16.0.10730) Windows NT 10.0", "")
        asks.insert(0, Ask(at - 0.2, 0, ip, look, True, "HEAD"))
    headers, later = chance.choice(DESKTOP).headers(chance), at + chance.uniform(0.3, 3)
    return Session(4, [*asks, Ask(later, 0, ip, headers, False)])


def _by_name(names: tuple[str, ...]) -> Scenario:
    def one(chance: random.Random) -> Session:
        headers = library(chance.choice(names), chance.choice(("*/*", "text/html,*/*;q=0.8")))
        return Session(3, [Ask(chance.uniform(2, 90_000), 0, address(chance), headers, True)])

    return one


PREVIEWS = (
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    "WhatsApp/2.23.20.0 A",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko)"
    " Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "Viber/13.3.0 (Android)",
    "facebookexternalhit/1.1;line-poker/1.0",
    "Snap URL Preview Service; bot; snapchat; https://developers.snap.com/robots",
    "Synapse/1.98.0",
    "Mozilla/5.0 (compatible; ZulipURLPreview/7.0; +https://zulip.example)",
)
PRODUCTS = (
    "Mozilla/5.0 (compatible; Proofpoint URL Defense)",
    "Barracuda Sentinel (EE)",
    "Mimecast Service/1.0",
    "CiscoSecureEmail/14.0",
    "TMES/1.0",
    "Sophos Email Appliance",
    "Mozilla/5.0 (compatible; FortiGuard Link Scanner)",
    "Microsoft-Exchange/15.20 (Windows NT 10.0; Win64; x64)",
    "urlscan.io/1.0",
)
CRAWLERS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "python-requests/2.31.0",
    "Go-http-client/1.1",
    "curl/8.5.0",
    "Apache-HttpClient/4.5.14 (Java/17.0.9)",
    "lua-resty-http/0.16 (Lua) ngx_lua/10025",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/142.0.0.0 Safari/537.36",
)


def like_a_person(chance: random.Random) -> Session:
    """A whole browser opens one link soon after: nothing in the click says that nobody reads."""
    ask = Ask(chance.uniform(5, 120), 0, address(chance), CHROME.headers(chance, True), True)
    return Session(chance.randint(1, 6), [ask])


_GUIDE = "https://check.live-direct-marketing.online/blog/"
_ISSUES = "https://github.com/"

SCENARIOS: dict[str, tuple[Scenario, str]] = {
    "one link": (one_link, "what a click is for"),
    "five links in ten minutes": (five_links, "clicktrail's own: a reader of a newsletter"),
    "seconds after a push notification": (after_a_push, "clicktrail's own"),
    "a family behind one address": (family, "RFC 3022"),
    "an office of 200 behind one address": (office, "RFC 3022"),
    "forwarded": (forwarded, _ISSUES + "anymail/django-anymail/issues/200"),
    "a password reset, clicked twice": (reset_twice, "clicktrail's own"),
    "iPhone with a private relay": (
        private_relay,
        "https://developer.apple.com/support/prepare-your-network-for-icloud-private-relay/",
    ),
    "text browsers": (text_browser, "their own default headers"),
    "old browsers": (old_browser, "their own default headers"),
    "all links at once": (at_once, _GUIDE + "bot-clicks-security-scanners-detect"),
    "both links at once": (two_at_once, _GUIDE + "bot-clicks-security-scanners-detect"),
    "all links, hours later": (hours_later, _GUIDE + "microsoft-defender-link-click-pattern"),
    "one link after another": (one_by_one, _ISSUES + "mautic/mautic/issues/9798"),
    "one link after another, over minutes": (
        over_minutes,
        _ISSUES + "putyourlightson/craft-campaign/issues/546",
    ),
    "into the hidden link": (into_the_trap, _ISSUES + "mautic/mautic/issues/9798"),
    "at click time": (at_click_time, _GUIDE + "microsoft-defender-link-click-pattern"),
    "a library with a browser's name": (
        named_a_browser,
        _ISSUES + "jdavidbakr/mail-tracker/issues/255",
    ),
    "a browser without a window": (without_a_window, _ISSUES + "WICG/ua-client-hints/issues/366"),
    "HEAD before GET": (looks_first, _ISSUES + "civicrm/civicrm-core/pull/35328"),
    "Office before the browser": (office_programs, "https://superuser.com/questions/1359127"),
    "previews of chats": (_by_name(PREVIEWS), _ISSUES + "monperrus/crawler-user-agents"),
    "security products by name": (
        _by_name(PRODUCTS),
        _GUIDE + "bot-clicks-security-scanners-detect",
    ),
    "crawlers and libraries": (_by_name(CRAWLERS), _ISSUES + "monperrus/crawler-user-agents"),
}

UNKNOWABLE: dict[str, tuple[Scenario, str]] = {
    "one link, as a person does": (
        like_a_person,
        "https://hummingdeck.com/en/blog/why-your-deck-analytics-are-wrong",
    ),
}
"""What no rule here tells: shown, and in no sum."""


SCENARIOS |= LATER | CROWDS
UNKNOWABLE |= LATER_UNKNOWABLE | CROWDS_UNKNOWABLE


def sessions(name: str, number: int, seed: int) -> Iterator[Session]:
    """Return sessions of a scenario, the same for the same seed."""
    scenario = (SCENARIOS | UNKNOWABLE)[name][0]
    chance = random.Random(f"{seed} {name}")
    for _ in range(number):
        made = scenario(chance)
        made.asks.sort(key=lambda ask: ask.at)
        yield made
