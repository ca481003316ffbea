"""What may be told of a fault: in log lines, in errors of ours, on pages.

A traceback's local variables, and the texts of most exceptions, hold what was being worked on:
passwords, addresses, the beginning of an email. So frames are told without variables, the text of
an exception only where its kind is known to speak of the machine and not of its input, and no text
at all with the secrets of this process, a password in a URL, or an email address in it.
"""

import re
import sys
from base64 import b64encode
from collections.abc import Iterator
from types import TracebackType
from urllib.parse import quote, unquote

from clicktrail.base.complaints import is_of_the_system, named_complaint, without_text

LONGEST = 2000
"""Characters of one text that are told."""
MOST_FRAMES = 40
MOST_CHAINED = 6
SHORTEST_SECRET = 6
"""Shorter ones would make holes everywhere, and are no secrets."""

HIDDEN = "(hidden)"
ADDRESS = "(address)"

_READ = 4 * LONGEST
# Up to the last @: a password may hold one that should have been percent-encoded.
_LOGIN = re.compile(r"://[^\s\"'<>]{1,1000}@")
# user:password@host, without a scheme or with half of one; no path (maildir:/home/me@work).
_BARE_LOGIN = re.compile(r"(?!maildir:)[^@]*:[^@]*@")
_SECRET_PARAMETER = re.compile(r"(?i)\b(password|passwd|pwd|token|secret)=[^&\s]*")
# Also with another one before the @, as bounces have it (bounces+anna=example.org@example.com), and
# in xtext (RFC 3461 § 4), where the @ may be +40.
_ADDRESS = re.compile(
    r"""
    (?: "[^"\n]{1,64}"@
      | [^\s<>"'(),;:=\[\]{}|/?&@] [^\s<>"(),;:\[\]{}|/?&@]{0,199} @
      | (?: "[^"\n]{1,64}" | [^\s<>"'(),;:=\[\]{}|/?&@]{1,200} ) (?: %40 | \+40(?=[\w-]{1,63}\.) )
    )
    [^\s<>"'(),;:=\[\]{}|/?&@%]{1,255}
    """,
    re.VERBOSE,
)

_TOLD = frozenset(
    {
        "clicktrail.errors.ClicktrailError",
        "builtins.OSError",  # also sockets, TLS, name resolution, time-outs
        "builtins.AttributeError",
        "builtins.ImportError",
        "builtins.NameError",
        "builtins.RecursionError",
        "sqlite3.Error",  # names tables and columns; values but for what `without_text` leaves out
        "psycopg.OperationalError",
        "aiosmtplib.errors.SMTPException",
        "httpcore.TimeoutException",
        "httpcore.NetworkError",
        "httpcore.RemoteProtocolError",
        "httpcore.ProxyError",
        "httpcore.UnsupportedProtocol",
        "nats.errors.Error",
        "dns.exception.DNSException",
        "tomllib.TOMLDecodeError",
        "msgspec.MsgspecError",  # says what type was expected where
        "botocore.exceptions.NoCredentialsError",
        "alembic.util.exc.CommandError",
    }
)
"""Exceptions whose text is told: that of their subclasses, too."""

_secrets: set[str] = set()
_pattern: re.Pattern[str] | None = None


def hide(*secrets: str, user: str = "") -> None:
    """From now on show none of these texts, nor their usual encodings, in anything that is told.

    ``user`` is the name that belongs to a password: they go to a mail server together.
    """
    global _pattern  # noqa: PLW0603 - what a process must not tell is the process's
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            # RFC 4954 § 4, RFC 4616 § 2: how passwords are sent by AUTH LOGIN and AUTH PLAIN.
            plain = (secret, f"\0{user}\0{secret}")
            _secrets.update((secret, quote(secret, safe=""), *map(_base64, plain)))
    found = sorted(_secrets, key=len, reverse=True)
    _pattern = re.compile("|".join(map(re.escape, found))) if found else None


def hide_login(url: str) -> None:
    """`hide` the password in a URL, where it has one."""
    _, _, rest = url.partition("://")
    login, at, _ = rest.rpartition("@")
    _, _, password = login.partition(":")
    if at:
        hide(password, unquote(password), login if not password else "")


def without_login(url: str) -> str:
    """Return a URL without the user name and the password in it.

    Also of one that is none: where a slash or the colon was lost, all before its last @ is hidden.
    """
    url = _SECRET_PARAMETER.sub(rf"\1={HIDDEN}", url)
    scheme, separator, rest = url.partition("://")
    if (not separator or "@" in scheme) and _BARE_LOGIN.match(url):
        scheme, rest = "", url
    _, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{HIDDEN}@{host}" if at else url


def redact(text: str, longest: int = LONGEST, *, addresses: bool = False) -> str:
    """Return a text as it may be told: bounded, printable, without secrets.

    Email addresses are taken out too, unless ``addresses`` says that they may be told.
    """
    if len(text) > _READ:
        text = text[:_READ].rpartition(" ")[0]  # no half of a secret
    if _pattern is not None:
        text = _pattern.sub(HIDDEN, text)
    at = "@" in text
    if at and "://" in text:
        text = _LOGIN.sub(f"://{HIDDEN}@", text)
    if not addresses and (at or "%40" in text or "+40" in text):
        text = _ADDRESS.sub(ADDRESS, text)
    if len(text) > longest:
        text = text[:longest] + "…"
    return text if text.isprintable() else "".join(map(_printable, text))


def reason_of(error: BaseException) -> str:
    """Return why something failed, as it may be told: the exception's text, else its name.

    Of an error of the system it names the file, and says what to do.
    """
    error = getattr(error, "orig", None) or error  # SQLAlchemy: the driver's own
    if isinstance(error, OSError) and is_of_the_system(error):
        return redact(named_complaint(error))
    return _text_of(error) or type(error).__name__


def name_and_reason(error: BaseException) -> str:
    """Return the same behind the exception's name, where its text alone would not say much."""
    return f"{type(error).__name__} {_text_of(error)}".strip()


def told_chain(error: BaseException | None) -> list[dict[str, object]]:
    """Return an exception and those that led to it, the last first, without variables.

    Each has ``exc_type``, ``exc_value`` and ``frames`` (``filename``, ``lineno``, ``name``), the
    innermost frame last.
    """
    return [
        {
            "exc_type": type(each).__qualname__,
            "exc_value": _text_of(each),
            "frames": list(_frames(each.__traceback__))[-MOST_FRAMES:],
        }
        for each in _chain(error)
    ]


def traceback_text(error: BaseException | None) -> str:
    """Return `told_chain` as a text in the form of Python's own tracebacks."""
    lines: list[str] = []
    for fault in reversed(told_chain(error)):
        lines.append("Traceback (most recent call last):")
        frames = fault["frames"]
        assert isinstance(frames, list)
        lines += [f'  File "{f["filename"]}", line {f["lineno"]}, in {f["name"]}' for f in frames]
        lines.append(f"{fault['exc_type']}: {fault['exc_value']}".removesuffix(": "))
    return "\n".join(lines)


def current() -> BaseException | None:
    """Return the exception that is being handled."""
    return sys.exc_info()[1]


def _text_of(error: BaseException) -> str:
    names = {f"{each.__module__}.{each.__qualname__}" for each in type(error).__mro__}
    if names.isdisjoint(_TOLD):
        return ""
    try:
        return redact(without_text(str(error))).strip()
    except Exception:  # a library's exception may fail to speak of itself
        return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting and len(seen) < MOST_CHAINED:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        waiting.append(each.__cause__ or (None if each.__suppress_context__ else each.__context__))


def _frames(trace: TracebackType | None) -> Iterator[dict[str, object]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield {"filename": code.co_filename, "lineno": trace.tb_lineno, "name": code.co_name}
        trace = trace.tb_next


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-8", "surrogatepass")).decode()


def _printable(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return f"\\x{ord(character):02x}"
