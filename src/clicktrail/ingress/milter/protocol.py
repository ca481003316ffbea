"""The texts of the milter protocol: what its numbers mean, and how its packets are written. No I/O.

The protocol is that of Sendmail 8.14 and later (version 6), which Postfix speaks too: a packet is
its length (four bytes, of what follows), a command (one byte) and its data. The names of constants
are those of ``libmilter/mfdef.h`` and ``mfapi.h``.
"""

import struct
from collections.abc import Iterable, Iterator

VERSION = 6
OLDEST = 2
"""Version of Sendmail 8.12: the first that can replace a body."""

# What a mail server says (SMFIC_*).
ABORT = ord("A")
BODY = ord("B")
CONNECT = ord("C")
MACRO = ord("D")
END_OF_BODY = ord("E")
HELO = ord("H")
QUIT_NEW_CONNECTION = ord("K")
HEADER = ord("L")
MAIL = ord("M")
END_OF_HEADER = ord("N")
NEGOTIATE = ord("O")
QUIT = ord("Q")
RCPT = ord("R")
DATA = ord("T")
UNKNOWN = ord("U")

# What it lets be changed (SMFIF_*).
ADD_HEADERS = 0x01
CHANGE_BODY = 0x02
CHANGE_HEADERS = 0x10
SET_MACROS = 0x100

# What it need not say (SMFIP_NO*), and what needs no answer (SMFIP_NR_*).
NO_HELO = 0x02
NO_END_OF_HEADER = 0x40
NO_UNKNOWN = 0x100
NO_DATA = 0x200
NO_ANSWER = {
    HEADER: 0x80,
    CONNECT: 0x1000,
    HELO: 0x2000,
    MAIL: 0x4000,
    RCPT: 0x8000,
    DATA: 0x1_0000,
    UNKNOWN: 0x2_0000,
    END_OF_HEADER: 0x4_0000,
    BODY: 0x8_0000,
}
LEADING_SPACE = 0x10_0000
"""Values of headers come and go with the space behind the colon (SMFIP_HDR_LEADSPC)."""

# When which macros come (SMFIM_*).
AT_CONNECT, AT_MAIL, AT_END = 0, 2, 5

CHUNK = 65_535
"""The most bytes of a body in one packet (MILTER_CHUNK_SIZE)."""

_LENGTH = struct.Struct("!I")
_NEGOTIATION = struct.Struct("!III")
_INDEX = struct.Struct("!I")


def packet(command: bytes, *data: bytes) -> bytes:
    """Return a packet."""
    return b"".join((_LENGTH.pack(1 + sum(map(len, data))), command, *data))


CONTINUE = packet(b"c")


def negotiation(
    version: int, actions: int, steps: int, macros: Iterable[tuple[int, bytes]]
) -> bytes:
    """Return the answer to `NEGOTIATE`; ``macros`` are names by when they shall come."""
    wanted = [part for when, names in macros for part in (_INDEX.pack(when), names, b"\0")]
    return packet(b"O", _NEGOTIATION.pack(version, actions, steps), *wanted)


def read_negotiation(data: bytes) -> tuple[int, int, int]:
    """Return version, actions and steps that a mail server offers. Raises `ValueError`."""
    if len(data) < _NEGOTIATION.size:
        raise ValueError("it is too short")
    version, actions, steps = _NEGOTIATION.unpack_from(data)
    return version, actions, steps


def refusal(code: int, text: str) -> bytes:
    """Return the answer that refuses an email with an SMTP reply."""
    # Sendmail takes it for a format (smfi_setreply).
    line = " ".join(text.split()).encode("ascii", "backslashreplace").replace(b"%", b"%%")
    return packet(b"y", b"%d %b\0" % (code, line[:_LONGEST_REPLY]))


_LONGEST_REPLY = 500
"""RFC 5321 § 4.5.3.1.5: 512 bytes with code and line end."""


def changed_header(index: int, name: bytes, value: bytes) -> bytes:
    """Return the request to change the so-manieth header of a name, from 1; ``b""`` deletes it."""
    return packet(b"m", _INDEX.pack(index), name, b"\0", value, b"\0")


def inserted_header(index: int, name: bytes, value: bytes) -> bytes:
    """Return the request to put a header before the one at a place, from 0 on."""
    return packet(b"i", _INDEX.pack(index), name, b"\0", value, b"\0")


def replaced_body(body: bytes) -> Iterator[bytes]:
    """Yield the requests to replace the body, its pieces in order."""
    view = memoryview(body)
    for at in range(0, max(1, len(body)), CHUNK):
        yield packet(b"b", bytes(view[at : at + CHUNK]))
