"""What is looked at before a service starts, so that it is said once and names the setting."""

import os
from importlib import import_module

from clicktrail.base.complaints import complaint
from clicktrail.errors import SettingError
from clicktrail.settings.settings import Settings


def check_certificate(settings: Settings, owner: str) -> None:
    """See that the certificate in ``owner.tls_certificate`` can be used, where there is one.

    What reads it is loaded only then. Raises `SettingError`; warns of one out of date.
    """
    if settings[f"{owner}.tls_certificate"] is not None:
        import_module("clicktrail.service.checks.certificates").check(settings, owner)


def check_folder(settings: Settings, name: str) -> None:
    """See that a setting names a folder that can be read, where it is set. Raises `SettingError`.

    What is in it may change.
    """
    path = settings[name]
    if path is None:
        return
    try:
        os.listdir(path)  # noqa: PTH208 - whether it can be read, and nothing else
    except OSError as error:
        raise SettingError(
            f"{name} = {str(path)!r} (from {settings.source(name)}) cannot be used: expected a"
            f" folder ({complaint(error, path)})"
        ) from None


def check_authorities(settings: Settings, *owners: str) -> None:
    """See that the files in ``owner.tls_ca`` hold certificates, where there are such files.

    Raises `SettingError`.
    """
    for name in (f"{owner}.tls_ca" for owner in owners):
        if settings[name] is not None:
            import_module("clicktrail.service.checks.certificates").check_ca(settings, name)


def check_credentials(settings: Settings, name: str) -> None:
    """See that a file holds credentials of NATS, where it is set. Raises `SettingError`."""
    if settings[name] is not None:
        import_module("clicktrail.service.checks.credentials").check(settings, name)
