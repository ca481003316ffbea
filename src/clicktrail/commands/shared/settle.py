"""For how long notifications are held back, as it is said on the command line."""

from typing import Annotated

import typer

from clicktrail.errors import InvalidInput

Settle = Annotated[
    str | None,
    typer.Option(
        "--settle",
        metavar="TIME",
        help="Hold notifications of clicks back for so long (30s, 2m; 0: not at all), until their"
        " verdicts have settled.",
    ),
]


def seconds_of(text: str | None) -> int | None:
    """Return the whole seconds of ``30s``, ``2m`` or ``30``, if given. Raises `InvalidInput`."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in ("s", "m") else (text, "s")
    if not (number.isascii() and number.isdigit() and len(number) <= 6):
        raise InvalidInput(f"--settle {text!r} is no time: expected seconds or minutes, 30s or 2m")
    return int(number) * (60 if unit == "m" else 1)
