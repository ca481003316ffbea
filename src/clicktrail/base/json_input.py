"""Reads JSON that comes from outside: whatever it is, the answer says what is wrong."""

from typing import TypeVar

import msgspec

from clicktrail.errors import InvalidInput

T = TypeVar("T")


class InvalidJson(InvalidInput):
    """What came is no JSON, or not of the shape that is expected."""


def read_json(raw: bytes | str, shape: type[T]) -> T:
    """Return a value of a shape (RFC 8259). Raises `InvalidJson`, which names the member.

    RFC 8259 § 9 lets a reader limit the depth of nesting: here it is what the interpreter's stack
    bears, some hundreds.
    """
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        place = where.rstrip("`").removeprefix(".")
        raise InvalidJson(f"{place}: {what}" if place else what) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidJson(f"it is not JSON: {error}") from None
    except RecursionError:
        raise InvalidJson("it is nested too deep") from None
