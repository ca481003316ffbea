"""What requests show beside their headers' values."""


class Request:
    """What a request shows of who sends it, beside its User-Agent: bits, no header's value."""

    LOOKED = 1
    """Somebody has looked; without it nothing is known."""
    HEAD = 2
    """``HEAD`` (RFC 9110 § 9.3.2): somebody looks at a link and does not open it. No click."""
    HTML = 4
    """``Accept`` names ``text/html`` (RFC 9110 § 12.5.1)."""
    LANGUAGE = 8
    """There is an ``Accept-Language`` (RFC 9110 § 12.5.4)."""
    NAVIGATION = 16
    """``Sec-Fetch-Mode: navigate`` (Fetch Metadata § 2.2)."""
    SUBRESOURCE = 32
    """``Sec-Fetch-Mode`` with another value."""
    HINTS = 64
    """There is a ``Sec-CH-UA`` (User-Agent Client Hints § 3.1)."""
    OTHER_HINTS = 128
    """Client hints say another browser, version or system than the User-Agent."""
    HEADLESS = 256
    """Client hints name a browser without a window."""
    PREVIEW = 512
    """``Purpose`` or ``X-Purpose``: ``preview``: a browser makes a small picture of the page."""
    ALTERED = 1024
    """Something stood in or behind the link's token that does not belong there."""
