"""Signing in over SMTP: the mechanisms PLAIN and LOGIN (RFC 4954)."""

from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence

from clicktrail.errors import MessageRefused


async def read_credentials(
    words: Sequence[str], challenge: Callable[[str], Awaitable[bytes]]
) -> tuple[str, str]:
    """Return the user name and password that AUTH gives; ``words`` are its arguments.

    ``challenge`` asks the client and returns the line that it answers. Raises `MessageRefused`
    with the reply to give.
    """
    if not 1 <= len(words) <= 2:
        raise MessageRefused(501, "5.5.4 expected AUTH mechanism")
    mechanism = words[0].upper()
    if mechanism not in ("PLAIN", "LOGIN"):
        raise MessageRefused(504, "5.5.4 expected PLAIN or LOGIN")
    first = None
    if len(words) == 2:
        # RFC 4954 § 4: "=" is an empty initial response.
        first = b"" if words[1] == "=" else _decode(words[1].encode("utf-8", "surrogateescape"))

    if mechanism == "LOGIN":
        name = first if first is not None else await _ask(challenge, "Username:")
        return _text(name), _text(await _ask(challenge, "Password:"))
    plain = first if first is not None else await _ask(challenge, "")
    parts = plain.split(b"\0")  # RFC 4616 § 2
    if len(parts) != 3:
        raise MessageRefused(501, "5.5.2 expected NUL name NUL password")
    return _text(parts[1]), _text(parts[2])


async def _ask(challenge: Callable[[str], Awaitable[bytes]], prompt: str) -> bytes:
    line = (await challenge(prompt)).strip()
    if line == b"*":
        raise MessageRefused(501, "5.7.0 signing in was cancelled")
    return _decode(line)


def _decode(line: bytes) -> bytes:
    try:
        return b64decode(line, validate=True)
    except ValueError:
        raise MessageRefused(501, "5.5.2 the response is not base64") from None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
