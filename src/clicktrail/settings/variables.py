"""Finds misspelt settings: names that mean nothing, and what was probably meant."""

import re
from collections.abc import Collection, Iterable, Mapping

from clicktrail.errors import SettingError
from clicktrail.settings.kinds import ENVIRONMENT_PREFIX

# What Kubernetes and Docker put into the environment beside a service called clicktrail, or
# clicktrail-smtp: CLICKTRAIL_SERVICE_HOST, CLICKTRAIL_PORT_2525_TCP_ADDR …
_OF_SERVICES = re.compile(
    r".*_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)"
)


def check_variables(environment: Mapping[str, str], known: Collection[str]) -> None:
    """Raise `SettingError` for a variable that begins like ours and is none of them."""
    for name in environment:
        ours = name.startswith(ENVIRONMENT_PREFIX) and not _OF_SERVICES.fullmatch(name)
        if ours and name not in known:
            raise SettingError(f"unknown setting {name} in the environment: {meant(name, known)}")


def meant(name: str, known: Iterable[str]) -> str:
    """Return which of the known names was probably meant, and where all are shown."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for who misspelt one

    near = get_close_matches(name, known, 1)
    there = "`clicktrail settings` shows all"
    return f"did you mean {near[0]}? {there}" if near else there
