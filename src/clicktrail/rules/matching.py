"""Which hosts and which recipients a rule is about."""

from collections.abc import Iterable

from clicktrail.base.hostname import a_labels, domain_name, host_name
from clicktrail.errors import InvalidInput

_BELOW = "*."


def checked_host(text: str) -> str:
    """Return a host of a rule as it is kept: ``example.com``, ``*.example.com``.

    Raises `InvalidInput`.
    """
    text = text.strip()
    below = _BELOW if text.startswith(_BELOW) else ""
    try:
        return below + host_name(text.removeprefix(_BELOW))
    except InvalidInput as error:
        raise InvalidInput(
            f"{text[:300]!r} is not a host: expected example.com, or *.example.com for those"
            f" below it; {error}"
        ) from None


class Hosts:
    """Hosts, of which ``*.example.com`` is every one below ``example.com``."""

    def __init__(self, names: Iterable[str]) -> None:
        names = frozenset(names)
        self._exact = frozenset(name for name in names if not name.startswith(_BELOW))
        self._ends = tuple(name.removeprefix("*") for name in names - self._exact)

    def __bool__(self) -> bool:
        return bool(self._exact or self._ends)

    def has(self, host: str) -> bool:
        """Whether a host is one of them; it is as `weburl.host` has it, ``""`` for none."""
        host = host.strip("[]").removesuffix(".")
        return host in self._exact or host.endswith(self._ends)


def checked_archive(text: str) -> str:
    """Return an archive as it is kept: ``archive@example.com``, ``@archive.example.com``.

    Raises `InvalidInput`.
    """
    local, _, domain = text.strip().rpartition("@")
    try:
        return f"{local.lower()}@{domain_name(domain)}"
    except InvalidInput as error:
        raise InvalidInput(
            f"{text[:320]!r} is not an archive: expected an address (archive@example.com)"
            f" or a domain (@archive.example.com); {error}"
        ) from None


def readers_first(
    recipients: tuple[str, ...], archives: Iterable[str]
) -> tuple[tuple[str, ...], int]:
    """Return recipients with archives last, and how many are none.

    Where all are archives, none is: one of them alone is the reader.
    """
    known = frozenset(archives)
    readers: list[str] = []
    kept: list[str] = []
    for each in recipients:
        (kept if _is_archive(each, known) else readers).append(each)
    if not kept or not readers:
        return recipients, len(recipients)
    return (*readers, *kept), len(readers)


def _is_archive(address: str, known: frozenset[str]) -> bool:
    local, _, domain = address.strip("<> \t").rpartition("@")
    domain = a_labels(domain)
    return f"@{domain}" in known or f"{local.lower()}@{domain}" in known
