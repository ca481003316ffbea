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
_TABLET, _MOBILE = "Android tablet", re.compile(r"\bMobile\b")
_DEVICES = (
    ("iPhone", r"\biPhone\b"),
    ("iPad", r"\biPad\b"),
    (_TABLET, r"\bAndroid\b"),
    ("Windows", r"\bWindows\b"),
    ("Mac", r"\bMac(?:intosh| OS X)"),
    ("ChromeOS", r"\bCrOS\b"),
    ("Linux", r"\bLinux\b|\bX11\b"),
)
UNKNOWN = "no User-Agent sent or kept"
OTHERS = "other programs"
LONGEST = 1000
"""Characters of a User-Agent that are looked at."""


def program_of(user_agent: str) -> str:
    """Return the program and the device that a User-Agent names: ``Firefox on Windows``.

    There are some hundred such names, of less than 64 characters.
    """
    return _program_of(user_agent[:LONGEST])


@lru_cache(1 << 12)
def _program_of(text: str) -> str:
    if not text.strip():
        return UNKNOWN
    program = _first(_PROGRAMS, text)
    device = _first(_DEVICES, text)
    if device == _TABLET and _MOBILE.search(text, text.index("Android")):
        device = "Android phone"
    return f"{program} on {device}" if program and device else program or OTHERS


def _first(table: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for name, pattern in table if re.search(pattern, text)), "")
