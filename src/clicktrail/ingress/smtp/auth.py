"""Signing in over SMTP: the mechanisms PLAIN and LOGIN (RFC 4954), users and access keys."""

import asyncio
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from clicktrail.base.logs import get_logger
from clicktrail.doors.throttle import Throttle
from clicktrail.errors import MessageRefused, StoreUnavailable, TooManyTries

log = get_logger(__name__)

# Where SES has SMTP (AWS General Reference, "Amazon SES endpoints and quotas"), and Postbox.
REGIONS = """
us-east-1 us-east-2 us-west-1 us-west-2 us-gov-east-1 us-gov-west-1 ca-central-1 ca-west-1
sa-east-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-west-1 eu-west-2 eu-west-3 af-south-1
il-central-1 me-central-1 me-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3
ap-south-1 ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-5 ru-central1
""".split()


class Passwords(Protocol):
    """Where names and passwords are checked."""

    async def verify(self, name: str, password: str) -> bool:
        """Return whether they fit. Raises `StoreUnavailable`."""
        ...

    async def mark(self, name: str) -> bytes:
        """Return what changes when who has signed in under a name may do so no more.

        Raises `StoreUnavailable`.
        """
        ...


class AccessKeys(Protocol):
    """Where access keys are kept."""

    async def secret(self, key_id: str) -> tuple[str, frozenset[str]] | None:
        """Return the secret and the scopes of a key that may be used."""
        ...


class UsersAndKeys:
    """`Passwords` of SMTP users, and of access keys that may send.

    The password of an access key is its secret, or what SES makes of that ("Obtaining Amazon SES
    SMTP credentials") for any of its regions.
    """

    def __init__(self, users: Passwords, keys: AccessKeys) -> None:
        self._users = users
        self._keys = keys

    async def verify(self, name: str, password: str) -> bool:
        """See `Passwords.verify`."""
        key = await self._keys.secret(name)
        if key is None:
            return await self._users.verify(name, password)
        secret, scopes = key
        given = password.encode("utf-8", "surrogateescape")
        good = [secret, *(smtp_password(secret, region) for region in REGIONS)]
        fits = [hmac.compare_digest(given, each.encode()) for each in good]
        return any(fits) and "send" in scopes

    async def mark(self, name: str) -> bytes:
        """See `Passwords.mark`."""
        return await self._users.mark(name)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in."""

    name: str
    mark: bytes
    """`Passwords.mark`."""
    version: int
    """Of the configuration when that was so: it changes with every user or key that goes."""


class SignIn:
    """Checks names and passwords, and slows down who guesses.

    ``version`` is that of the configuration that was seen last.
    """

    def __init__(
        self, passwords: Passwords, throttle: Throttle, version: Callable[[], int]
    ) -> None:
        self._passwords = passwords
        self._throttle = throttle
        self._version = version

    async def verify(self, name: str, password: str, address: str) -> SignedIn | None:
        """Return who signs in; ``None`` where name and password do not fit.

        Raises `MessageRefused`: 421 and 454, with what to do.
        """

        async def verify() -> SignedIn | None:
            # First: that of the password that is tried.
            who = await self._look(name)
            return who if await self._passwords.verify(name, password) else None

        try:
            return await self._throttle.sign_in(name, address, verify)
        except TooManyTries as error:
            raise MessageRefused(421, f"4.7.0 {error}") from None
        except StoreUnavailable:
            log.exception("sign-in could not be checked")
            raise MessageRefused(
                454, "4.7.0 signing in is not possible now: try again later"
            ) from None

    async def again(self, who: SignedIn) -> SignedIn | None:
        """Return who has signed in as of now; ``None`` where that is not possible any more.

        Raises `MessageRefused`: 451.
        """
        try:
            now = await self._look(who.name)
            return now if now.mark == who.mark else None
        except StoreUnavailable:
            log.exception("sign-in could not be checked")
            raise MessageRefused(
                451, "4.3.0 whether you may still send cannot be checked now: try again later"
            ) from None

    async def _look(self, name: str) -> SignedIn:
        version = self._version()  # first: what goes afterwards makes another one
        return SignedIn(name, await self._passwords.mark(name), version)


def smtp_password(secret: str, region: str) -> str:
    """Return the SMTP password that SES makes of a secret access key for a region."""
    signature = f"AWS4{secret}".encode()
    for part in ("11111111", region, "ses", "aws4_request", "SendRawEmail"):
        signature = hmac.new(signature, part.encode(), hashlib.sha256).digest()
    return b64encode(b"\x04" + signature).decode()


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


async def read_line(reader: asyncio.StreamReader) -> bytes:
    """Return the next line, which a client answers to a challenge.

    Raises `MessageRefused` behind one that is longer than the reader takes, and
    `asyncio.IncompleteReadError` where there is none.
    """
    too_long = False
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            too_long = True
            await reader.readexactly(error.consumed)
        else:
            break
    if too_long:
        raise MessageRefused(500, "5.5.6 the line is too long")  # RFC 4954 § 6
    return line


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
