"""One milter connection without its socket: bytes in, answers and emails out. No I/O.

What a mail server says is not to be trusted: everything has a largest size, and what makes no
sense is a `Fault`, which ends the connection: the mail server then does what it does when a milter
is away.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from clicktrail.errors import ClicktrailError
from clicktrail.headers.fields import HEADER_LIMIT
from clicktrail.ingress.milter import protocol as p
from clicktrail.ingress.milter.edits import Field

PACKET_LIMIT = HEADER_LIMIT + 64 * 1024
"""Bytes of a packet with a header: one that is a little too long comes in, and is refused."""

SMALL_LIMIT = p.CHUNK + 1
"""Bytes of any other packet; so much each connection may hold outside of the budget."""

AHEAD_LIMIT = 64 * 1024
"""Bytes that may come while an email waits for its answer. No mail server sends any."""

_ACTIONS = p.ADD_HEADERS | p.CHANGE_HEADERS | p.CHANGE_BODY
_UNHEARD = p.NO_HELO | p.NO_END_OF_HEADER | p.NO_UNKNOWN | p.NO_DATA
_STEPS = _UNHEARD | p.LEADING_SPACE | sum(p.NO_ANSWER.values())
_MACROS = (
    (p.AT_CONNECT, b"{client_addr}"),
    (p.AT_MAIL, b"{auth_authen}"),
    (p.AT_END, b"i"),
)
_WANTED = {b"{client_addr}", b"{auth_authen}", b"i"}
_OF_CONNECTION = (p.CONNECT, p.HELO)
_OF_EMAIL = (p.MAIL, p.RCPT, p.DATA, p.HEADER, p.END_OF_HEADER, p.BODY, p.END_OF_BODY)


class Fault(ClicktrailError):
    """The mail server said what makes no sense; the text says what, without quoting it."""


class Closed(Exception):
    """The mail server has said goodbye."""


@dataclass(slots=True)
class Email:
    """An email as it came in."""

    sender: str
    client_address: str
    """Of whom the mail server has it; ``""`` where it did not say."""
    user: str
    """Who has signed in at the mail server; ``""`` for nobody."""
    queue_id: str = ""
    recipients: list[str] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    size: int = 0
    """In bytes, of header and body, as far as they were kept."""
    header_size: int = 0
    kept: bool = True
    refusal: tuple[int, str] | None = None
    """The reply that refuses it, where it is known before it ends."""

    def drop(self, refusal: tuple[int, str] | None = None) -> None:
        """Keep nothing of what it holds; ``refusal`` is the reply to it, `None` lets it pass."""
        self.kept = False
        self.refusal = refusal
        self.recipients.clear()
        self.fields.clear()
        self.body = bytearray()


class Keeper(Protocol):
    """Says what is kept: it calls `Email.drop` for what is not."""

    def begin(self, email: Email) -> None:
        """Look at the sender of an email."""

    def grow(self, email: Email, by: int) -> None:
        """Make room for so many bytes more of it."""

    def hold(self, email: Email, by: int) -> None:
        """Make room for so many bytes more of a packet that comes in, which are none of it."""
        ...


class Dialogue:
    """What is said on one connection.

    `receive` returns what is to be written, and, last, an email, which must be `answered` before
    there is another one.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._buffer = bytearray()
        self._needed = 5  # bytes until there is a packet
        self._held = 0  # bytes that the keeper made room for, for packets of this email
        self._passing = 0  # bytes to come of a packet that nobody needs
        self._passed = 0  # its command
        self._steps = 0
        self._negotiated = False
        self._macros: dict[int, dict[bytes, bytes]] = {}
        self._client = ""
        self._email: Email | None = None
        self._waits = False

    @property
    def spaced(self) -> bool:
        """Whether values of headers have their leading space."""
        return bool(self._steps & p.LEADING_SPACE)

    @property
    def has_begun(self) -> bool:
        """Whether an email has begun."""
        return self._email is not None

    def receive(self, data: bytes) -> list[bytes | Email]:
        """Go on with what has come. Raises `Fault` and `Closed`."""
        said: list[bytes | Email] = []
        if self._passing:
            passed = min(self._passing, len(data))
            self._passing -= passed
            if self._passing:
                return []
            data = data[passed:]
            said += self._unasked(self._passed)
        given: bytes | bytearray = data
        if self._buffer or self._waits:
            self._buffer += data
            if self._waits:
                if len(self._buffer) > AHEAD_LIMIT:
                    raise Fault("more comes while an email waits for its answer")
                return []
            if len(self._buffer) < self._needed:
                return said
            given, self._buffer = self._buffer, bytearray()
        at, end = 0, len(given)
        self._needed = 5
        while not self._waits and end - at >= 5:
            length = int.from_bytes(given[at : at + 4], "big")
            command = given[at + 4]
            is_header = command == p.HEADER and self._email is not None
            if not 1 <= length <= (PACKET_LIMIT if is_header else SMALL_LIMIT):
                raise Fault("a packet has no length that can be")
            if end - at < 4 + length:
                self._needed = 4 + length
                if not self._is_wanted(command):
                    self._passing, self._passed = self._needed - (end - at), command
                    self._needed = 5
                    return said
                break
            said += self._hear(given[at + 4], bytes(given[at + 5 : at + 4 + length]))
            at += 4 + length
        self._buffer += memoryview(given)[at:]
        return said

    def _is_wanted(self, command: int) -> bool:
        """Make room for a large packet that comes in pieces; whether it is waited for."""
        email = self._email
        if email is None or command not in (p.HEADER, p.BODY):
            return True
        if email.kept and self._needed > max(SMALL_LIMIT + 4, self._held):
            self._keeper.hold(email, self._needed - self._held)
            self._held = self._needed
        return email.kept

    def answered(self) -> list[bytes | Email]:
        """Go on after the email that `receive` has returned was answered."""
        self._waits = False
        ahead, self._buffer = bytes(self._buffer), bytearray()
        return self.receive(ahead)

    def _hear(self, command: int, data: bytes) -> list[bytes | Email]:
        hear = _HEARD.get(command)
        if hear is None:
            raise Fault("a command is not known")
        if not self._negotiated and command not in (p.NEGOTIATE, p.QUIT):
            raise Fault("nothing was negotiated")
        answer = hear(self, data)
        if answer is not None:
            return [answer]
        return self._unasked(command)

    def _unasked(self, command: int) -> list[bytes | Email]:
        """Return the answer to a command that needs none, where the mail server wants one."""
        unasked = p.NO_ANSWER.get(command, 0)
        return [p.CONTINUE] if unasked and not self._steps & unasked else []

    def _negotiate(self, data: bytes) -> bytes:
        try:
            version, actions, steps = p.read_negotiation(data)
        except ValueError as error:
            raise Fault(f"the negotiation: {error}") from None
        if version < p.OLDEST or actions & _ACTIONS != _ACTIONS:
            raise Fault("the mail server does not let a milter change header and body")
        self._forget()
        self._negotiated = True
        self._steps = steps & _STEPS
        macros = _MACROS if actions & p.SET_MACROS else ()
        wanted = _ACTIONS | (p.SET_MACROS if macros else 0)
        return p.negotiation(min(version, p.VERSION), wanted, self._steps, macros)

    def _macro(self, data: bytes) -> None:
        if not data or data[0] not in (*_OF_CONNECTION, *_OF_EMAIL):
            return
        words = data[1:].split(b"\0", 2 * 64)
        pairs = zip(words[::2], words[1::2], strict=False)
        self._macros[data[0]] = {n: value[:_LONG] for n, value in pairs if n in _WANTED}

    def _connect(self, data: bytes) -> None:
        place = data.partition(b"\0")[2]
        # After a name: family, port, and address; "4" and "6" are those of the internet.
        address = place[3:].partition(b"\0")[0] if place[:1] in (b"4", b"6") else b""
        self._client = _text(address[:_LONG])

    def _mail(self, data: bytes) -> None:
        said = {k: v for when in self._macros.values() for k, v in when.items()}
        address = _text(said.get(b"{client_addr}", b"")) or self._client
        self._email = Email(
            sender=_address(data),
            client_address=_plain(address),
            user=_text(said.get(b"{auth_authen}", b"")),
        )
        self._held = 0
        self._keeper.begin(self._email)

    def _rcpt(self, data: bytes) -> None:
        email = self._begun()
        self._grow(email, len(data) + _OBJECT)
        if email.kept:
            email.recipients.append(_address(data))

    def _header(self, data: bytes) -> None:
        email = self._begun()
        name, _, value = data.partition(b"\0")
        value = value.partition(b"\0")[0].replace(b"\r\n", b"\n")
        if not name or b":" in name or b"\n" in name or email.body:
            raise Fault("a header is none")
        if b"\n" in value and any(line[:1] not in _SPACE for line in value.split(b"\n")[1:]):
            raise Fault("a header has a line that does not belong to it")
        if not self.spaced:
            value = b" " + value
        email.header_size += len(name) + len(value) + 3
        if email.header_size > HEADER_LIMIT and email.kept:  # many short ones take much memory
            email.drop((552, f"5.3.4 the header has more than {HEADER_LIMIT} bytes"))
        email.size += self._grow(email, len(name) + len(value) + 3)
        if email.kept:
            email.fields.append((name, value))

    def _body(self, data: bytes) -> None:
        email = self._begun()
        email.size += self._grow(email, len(data))
        if email.kept:
            email.body += data

    def _end(self, data: bytes) -> Email:
        self._body(data)
        email = self._begun()
        email.queue_id = _text(self._macros.get(p.END_OF_BODY, {}).get(b"i", b""))
        self._abort(b"")
        self._waits = True
        return email

    def _abort(self, _: bytes) -> None:
        self._email = None
        for each in _OF_EMAIL:
            self._macros.pop(each, None)

    def _quit(self, _: bytes) -> None:
        raise Closed

    def _forget(self, _: bytes = b"") -> None:
        """Begin anew, for another client of the mail server."""
        self._abort(b"")
        self._macros.clear()
        self._client = ""

    def _pass(self, _: bytes) -> None:
        """Pass over what is not needed; it was not asked for."""

    def _begun(self) -> Email:
        if self._email is None:
            raise Fault("no email has begun")
        return self._email

    def _grow(self, email: Email, size: int) -> int:
        """Return how many bytes an email grows by."""
        if email.kept:
            self._keeper.grow(email, size)
        return size if email.kept else 0


_HEARD: dict[int, Callable[[Dialogue, bytes], bytes | Email | None]] = {
    p.ABORT: Dialogue._abort,
    p.BODY: Dialogue._body,
    p.CONNECT: Dialogue._connect,
    p.MACRO: Dialogue._macro,
    p.END_OF_BODY: Dialogue._end,
    p.HELO: Dialogue._pass,
    p.QUIT_NEW_CONNECTION: Dialogue._forget,
    p.HEADER: Dialogue._header,
    p.MAIL: Dialogue._mail,
    p.END_OF_HEADER: Dialogue._pass,
    p.NEGOTIATE: Dialogue._negotiate,
    p.QUIT: Dialogue._quit,
    p.RCPT: Dialogue._rcpt,
    p.DATA: Dialogue._pass,
    p.UNKNOWN: Dialogue._pass,
}

_OBJECT = 100
"""Bytes of memory that a short text takes beside its own."""
_LONG = 1000
"""Bytes of a macro or an address that are looked at."""
_SPACE = (b" ", b"\t")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _address(data: bytes) -> str:
    """Return the address of MAIL or RCPT: its first word, without angle brackets."""
    word = data.partition(b"\0")[0]
    if word.startswith(b"<") and word.endswith(b">"):
        word = word[1:-1]
    return _text(word)


def _plain(address: str) -> str:
    """Return an address without what Sendmail puts before those of IPv6."""
    return address[5:] if address[:5].lower() == "ipv6:" else address
