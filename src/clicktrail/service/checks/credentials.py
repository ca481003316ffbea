"""Sees that a file holds a user's credentials of NATS: loaded where there is one."""

import re

from clicktrail.base.complaints import complaint
from clicktrail.errors import SettingError
from clicktrail.settings.settings import Settings

# A JWT (RFC 7519 § 3), and the seed of a user's key (NATS, ADR-14: "SU" and base 32). nats-py
# reads the line behind each mark, and no more.
_JWT = re.compile(rb"BEGIN NATS USER JWT-*\r?\n[\w-]+\.[\w-]+\.[\w-]+\s")
_SEED = re.compile(rb"BEGIN USER NKEY SEED-*\r?\nSU[A-Z2-7]{56}\s")


def check(settings: Settings, name: str) -> None:
    """See `checks.check_credentials`."""
    path = settings[name]
    try:
        content = path.read_bytes()
    except OSError as error:
        why = complaint(error, path)
    else:
        lacks = [
            what
            for what, form in (("a user's JWT", _JWT), ("the seed of its key", _SEED))
            if not form.search(content)
        ]
        if not lacks:
            return
        why = (
            "expected credentials as `nsc generate creds` writes them, it lacks"
            f" {' and '.join(lacks)}"
        )
    raise SettingError(
        f"{name} = {str(path)!r} (from {settings.source(name)}) cannot be used: {why}"
    )
