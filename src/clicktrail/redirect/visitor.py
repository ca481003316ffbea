"""Whether a person asks at all."""

from typing import Protocol


class Headers(Protocol):
    """Request headers by lower-case name."""

    lower_head: bytes
    """All of the request's head, in lower case."""

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that name."""
        ...


def is_prefetch(headers: Headers) -> bool:
    """Whether a program fetches ahead, before the person has clicked (behaviour § 6).

    ``Sec-Purpose: prefetch`` (Fetch standard § 2.2.2), and its forerunners ``Purpose`` and
    ``X-Moz``.
    """
    if b"prefetch" not in headers.lower_head:
        return False
    for name in (b"sec-purpose", b"purpose", b"x-moz"):
        value = headers.header(name)
        if value is not None and b"prefetch" in value.lower():
            return True
    return False
