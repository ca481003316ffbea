"""What a User-Agent says of who sends it: a machine that names itself, or a browser."""

import re
from functools import lru_cache

from crawlerdetect import CrawlerDetect  # type: ignore[import-untyped]
from crawleruseragents import is_crawler  # type: ignore[import-untyped]

_AGENT_LIMIT = 512
_AGENTS = 50_000

_crawlers = CrawlerDetect()

# Who is in neither list of crawlers: email security products; Office and Exchange, which look at a
# link before a browser opens it; previews of chats; and what drives browsers.
_SCANNERS = (
    *("proofpoint", "mimecast", "barracuda", "messagelabs", "ironport", "forcepoint"),
    *("safelinks", "trustwave seg", "ciscosecureemail", "cisco umbrella", "tmes/", "trend micro"),
    *("trendmicro", "fortiguard", "fortimail", "sophos", "symantec", "bluecoat", "avanan"),
    *("check point harmony", "cloudmark", "vade secure", "retarus", "hornetsecurity", "spamtitan"),
    *("mailscanner", "bitdefender anti", "eset live", "zscaler url", "paloaltonetworks", "cortex"),
    *("microsoftdefender", "url defense", "urlscan", "virustotal", "phishing", "phishtank"),
    *("checkphish", "mxtoolbox", "link scanner", "linkscan", "link-check", "linkcheck"),
    *("ms-office", "msoffice", "microsoft office", "microsoft-exchange", "dataaccessd"),
    *("com.apple.webkit.networking", "link preview", "linkpreview", "urlpreview", "url preview"),
    *("unfurl", "cardyb", "rocketchat", "puppeteer", "playwright"),
)

_TEXT_BROWSERS = ("lynx/", "w3m/", "links (", "links/", "elinks")
"""Browsers of people who read text: one of them names the library that it is made with."""

_BROWSER = re.compile(
    r"(?:Chrome|Firefox|CriOS|FxiOS)/(?P<number>\d{1,4})"
    r"|Version/(?P<safari>\d{1,3})[.\d]* .*Safari/"
)
_MODERN, _MODERN_SAFARI = 60, 11
"""Versions of 2017: what is older may send other headers."""


def names_itself_a_machine(user_agent: str) -> bool:
    """Return whether a User-Agent is that of a crawler, a scanner or a library."""
    return _names_machine(user_agent[:_AGENT_LIMIT])


def names_itself_a_browser(user_agent: str) -> bool:
    """Return whether a User-Agent is that of a browser whose headers are known."""
    return _names_browser(user_agent[:_AGENT_LIMIT])


@lru_cache(_AGENTS)
def _names_machine(user_agent: str) -> bool:
    lower = user_agent.lower()
    if lower.startswith(_TEXT_BROWSERS):
        return False
    return (
        any(name in lower for name in _SCANNERS)
        or is_crawler(user_agent)
        or bool(_crawlers.is_crawler(user_agent))
    )


@lru_cache(4096)
def _names_browser(user_agent: str) -> bool:
    found = _BROWSER.search(user_agent)
    if found is None:
        return False
    number, safari = found["number"], found["safari"]
    return int(number) >= _MODERN if number else int(safari) >= _MODERN_SAFARI
