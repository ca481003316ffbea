"""Which program on which device a User-Agent names (RFC 9110 § 10.1.5), as people call them.

The order decides: browsers name those that they want to be taken for, too.
"""

import re
from functools import lru_cache

_PROGRAMS = (
    ("Outlook", r"Microsoft Outlook|ms-office|Outlook-(?:iOS|Android)"),
    ("Thunderbird", r"Thunderbird/"),
    ("Facebook", r"\bFB(?:AN|AV|_IAB)\b"),
    ("Instagram", r"\bInstagram\b"),
    ("Gmail", r"\bGSA/|\bGmail\b"),
    ("Yandex Browser", r"\bYaBrowser/|\bYaApp"),
    ("Edge", r"\bEdg(?:e|A|iOS)?/"),
    ("Opera", r"\bOPR/|\bOPT/|\bOpera\b"),
    ("Samsung Internet", r"\bSamsungBrowser/"),
    ("Firefox", r"\b(?:Firefox|FxiOS|Focus)/"),
    ("Chrome", r"\b(?:Chrome|CriOS|HeadlessChrome)/"),
    ("Safari", r"\bVersion/[^ ]+ (?:Mobile/\w+ )?Safari/"),
    ("a mail program or app", r"\bAppleWebKit/"),
)
_DEVICES = (
    ("iPhone", r"\biPhone\b"),
    ("iPad", r"\biPad\b"),
    ("Android phone", r"\bAndroid\b(?=.{0,500}\bMobile\b)"),
    ("Android tablet", r"\bAndroid\b"),
    ("Windows", r"\bWindows\b"),
    ("Mac", r"\bMac(?:intosh| OS X)"),
    ("ChromeOS", r"\bCrOS\b"),
    ("Linux", r"\bLinux\b|\bX11\b"),
)
UNKNOWN = "no User-Agent sent or kept"
OTHERS = "other programs"
LONGEST = 1000
"""Characters of a User-Agent that are looked at."""


@lru_cache(1 << 12)
def program_of(user_agent: str) -> str:
    """Return the program and the device that a User-Agent names: ``Firefox on Windows``."""
    text = user_agent[:LONGEST]
    program = _first(_PROGRAMS, text)
    device = _first(_DEVICES, text)
    if not text.strip():
        return UNKNOWN
    return f"{program} on {device}" if program and device else program or OTHERS


def _first(table: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for name, pattern in table if re.search(pattern, text)), "")
