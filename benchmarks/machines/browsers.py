"""What browsers, and programs that name themselves one, send when a link is opened.

Over https as Chromium, Firefox and Safari send it; over http without ``Sec-Fetch-*`` (Fetch
Metadata § 2) and without client hints (User-Agent Client Hints § 2): they go to https alone.
"""

import random
from dataclasses import dataclass

Headers = list[tuple[str, str]]

_HTML = "text/html,application/xhtml+xml,application/xml;q=0.9"
LANGUAGES = ("en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "fr-FR,fr;q=0.9", "ru-RU,ru;q=0.9")


@dataclass(frozen=True)
class Browser:
    """A browser by its User-Agent; ``chromium`` is its version where it is made of that."""

    agent: str
    chromium: int = 0
    brand: str = "Google Chrome"
    platform: str = ""
    metadata: bool = True
    """Whether it sends ``Sec-Fetch-*`` over https."""
    app: str = ""
    """The app that it is the web view of, as Android names it."""

    def headers(self, chance: random.Random, secure: bool | None = None) -> Headers:
        """Return what it sends when somebody opens a link."""
        https = chance.random() < 0.7 if secure is None else secure
        found = [("Host", "click.example.com"), ("Connection", "keep-alive")]
        if https and self.chromium:
            found += self.hints()
        if self.chromium or "Firefox" in self.agent:
            found.append(("Upgrade-Insecure-Requests", "1"))
        found += [("User-Agent", self.agent), ("Accept", _HTML + ",*/*;q=0.8")]
        if self.app:
            found.append(("X-Requested-With", self.app))
        if https and self.metadata:
            found += [("Sec-Fetch-Site", chance.choice(("none", "cross-site")))]
            found += [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
        encodings = "gzip, deflate, br" if https else "gzip, deflate"
        language = chance.choice(LANGUAGES)
        return [*found, ("Accept-Encoding", encodings), ("Accept-Language", language)]

    def hints(self, brand: str = "", version: int = 0, platform: str = "") -> Headers:
        """Return its client hints."""
        number, mobile = version or self.chromium, "?1" if "Mobile" in self.agent else "?0"
        brands = f'"Chromium";v="{number}", "{brand or self.brand}";v="{number}", "Not_A";v="99"'
        names = ("sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform")
        return list(zip(names, (brands, mobile, f'"{platform or self.platform}"'), strict=True))


def _chrome(system: str, platform: str, tail: str = "", version: int = 142, **more: str) -> Browser:
    agent = f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko)"
    return Browser(
        f"{agent} Chrome/{version}.0.0.0 {'Mobile ' if 'Android' in system else ''}Safari/537.36"
        + tail,
        version,
        platform=platform,
        **more,  # type: ignore[arg-type]
    )


_WINDOWS, _ANDROID = "Windows NT 10.0; Win64; x64", "Linux; Android 10; K"
_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS {} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
)
CHROME = _chrome(_WINDOWS, "Windows")
DESKTOP = (
    CHROME,
    _chrome(_WINDOWS, "Windows", version=141),
    _chrome(_WINDOWS, "Windows", " Edg/142.0.0.0", brand="Microsoft Edge"),
    _chrome(_WINDOWS, "Windows", " OPR/125.0.0.0", brand="Opera"),
    _chrome("Macintosh; Intel Mac OS X 10_15_7", "macOS"),
    _chrome("X11; Linux x86_64", "Linux"),
    Browser(f"Mozilla/5.0 ({_WINDOWS}; rv:144.0) Gecko/20100101 Firefox/144.0"),
    Browser("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    Browser(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        " Version/18.1 Safari/605.1.15"
    ),
)
IPHONE = Browser(_IPHONE.format("18_5") + " Version/18.5 Mobile/15E148 Safari/604.1")
PHONES = (
    IPHONE,
    Browser(_IPHONE.format("15_8") + " Version/15.6 Mobile/15E148 Safari/604.1", metadata=False),
    Browser(_IPHONE.format("18_5") + " CriOS/142.0.7444.46 Mobile/15E148 Safari/604.1"),
    _chrome(_ANDROID, "Android"),
    _chrome("Linux; Android 14; SM-S918B", "Android", version=136, brand="Samsung Internet"),
    Browser("Mozilla/5.0 (Android 14; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0"),
)
_VIEW = "Android WebView"
VIEWS = (
    Browser(_IPHONE.format("18_5") + " Mobile/15E148 [FBAN/FBIOS;FBAV/530.0.0;FBDV/iPhone14,5]"),
    Browser(_IPHONE.format("18_5") + " GSA/390.0.8 Mobile/15E148 Safari/604.1"),
    Browser(_IPHONE.format("18_5") + " Mobile/15E148"),
    _chrome(
        "Linux; Android 13; Pixel 7; wv", "Android", brand="Android WebView", app="com.fsck.k9"
    ),
    _chrome("Linux; Android 14; K; wv", "Android", brand="Android WebView", app="com.yahoo.mail"),
)
OLD = (
    Browser("Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko", metadata=False),
    Browser("Mozilla/5.0 (Windows NT 6.1; rv:52.0) Gecko/20100101 Firefox/52.0", metadata=False),
    Browser(
        "Mozilla/5.0 (Linux; U; Android 4.4; en-us) AppleWebKit/534.30 (KHTML, like Gecko)"
        " Version/4.0 Mobile Safari/534.30",
        metadata=False,
    ),
    Browser("Opera/9.80 (Android; Opera Mini/36.2/191.288; U; en) Presto/2.12 Version/12.16"),
)
TEXT = (
    "Lynx/2.9.0dev.12 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.8.3",
    "w3m/0.5.3+git20230121",
    "Links (2.29; Linux 6.1 x86_64; GNU C 12.2; text)",
    "ELinks/0.16.1.1 (textmode; Linux; 80x24-2)",
)
EVERYBODY = (*DESKTOP * 3, *PHONES * 4, *VIEWS * 2)
"""People's browsers, as often as they are about."""


def text_headers(chance: random.Random) -> Headers:
    """Return what a text browser sends."""
    agent = chance.choice(TEXT)
    found = [("Host", "click.example.com"), ("User-Agent", agent)]
    found.append(("Accept", "text/html, text/plain, text/sgml, */*;q=0.01"))
    return found if chance.random() < 0.3 else [*found, ("Accept-Language", "en")]


def library(agent: str, accept: str = "*/*") -> Headers:
    """Return what a library for HTTP sends, by whatever name."""
    return [
        ("Host", "click.example.com"),
        ("User-Agent", agent),
        *([("Accept", accept)] if accept else []),
        ("Accept-Encoding", "gzip, deflate"),
    ]
