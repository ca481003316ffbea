"""From what on a click is no person's: what a configuration set may say otherwise."""

from dataclasses import asdict, dataclass, replace

from clicktrail.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Weights, milliseconds, and recipients (docs/machine-clicks.md)."""

    suspect: int = 1
    """What the reasons of a suspect click weigh together, at least."""
    machine: int = 2
    """The same of a machine's."""
    too_fast: int = 1000
    """A click so soon after the email was accepted, or sooner, is `too-fast`."""
    burst: int = 2000
    """Clicks within that time may be a `burst`."""
    double_fetch: int = 5000
    """How soon after a scanner the person opens the same link."""
    sweep: int = 15_000
    """Four links of which each follows the last within that time are a `sweep`."""
    gateway: int = 8
    """Links in the emails of so many recipients, opened from one network, may be a `gateway`'s; 0
    for none."""


USUAL = Thresholds()
"""Those of a new configuration set."""

MOST_WEIGHT = 100
MOST_MILLISECONDS = 40_000
"""Clicks with nothing between them for longer are not compared."""

FEWEST_RECIPIENTS, MOST_RECIPIENTS = 3, 80

_UNITS = {"ms": 1, "s": 1000}


def read_thresholds(text: str) -> Thresholds:
    """Return the thresholds of a text, ``machine=3 burst=1s``; what it does not name is as usual.

    Times are in ``s`` or ``ms``. Raises `InvalidInput`.
    """
    found: dict[str, int] = {}
    for entry in text.replace(",", " ").split():
        name, _, value = entry.partition("=")
        field = name.replace("-", "_")
        if field not in _NAMES:
            known = ", ".join(each.replace("_", "-") for each in _NAMES)
            raise InvalidInput(
                f"there is no threshold {name[:50]!r}: expected NAME=VALUE of {known}"
            )
        read = _READ.get(field, _milliseconds)
        found[field] = read(name, value)
    made = replace(USUAL, **found)
    if made.suspect > made.machine:
        raise InvalidInput(
            f"a machine's click would weigh less ({made.machine}) than a suspect one"
            f" ({made.suspect}): give machine as much or more"
        )
    return made


def text_of(thresholds: Thresholds, *, all_of_them: bool = False) -> str:
    """Return the text of thresholds, those alone that are not as usual (`read_thresholds`)."""
    usual = asdict(USUAL)
    return " ".join(
        f"{name.replace('_', '-')}={value if name in _READ else _time(value)}"
        for name, value in asdict(thresholds).items()
        if all_of_them or value != usual[name]
    )


_NAMES = tuple(asdict(USUAL))


def _weight(name: str, text: str) -> int:
    if not _is_number(text) or not 1 <= int(text) <= MOST_WEIGHT:
        raise InvalidInput(f"{name}={text[:50]!r} is no weight: expected 1 to {MOST_WEIGHT}")
    return int(text)


def _milliseconds(name: str, text: str) -> int:
    unit = "ms" if text.endswith("ms") else "s"
    number = text.removesuffix(unit)
    if not _is_number(number) or (found := int(number) * _UNITS[unit]) > MOST_MILLISECONDS:
        raise InvalidInput(
            f"{name}={text[:50]!r} is no time: expected 0 to {_time(MOST_MILLISECONDS)}, such as"
            " 2s or 500ms"
        )
    return found


def _recipients(name: str, text: str) -> int:
    number = int(text) if _is_number(text) else -1
    if number and not FEWEST_RECIPIENTS <= number <= MOST_RECIPIENTS:
        raise InvalidInput(
            f"{name}={text[:50]!r} is no number of recipients: expected {FEWEST_RECIPIENTS} to"
            f" {MOST_RECIPIENTS}, or 0 for never"
        )
    return number


_READ = {"suspect": _weight, "machine": _weight, "gateway": _recipients}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{milliseconds}ms" if rest else f"{seconds}s"
