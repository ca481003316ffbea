"""What is looked at before a service starts, so that it is said once and names the setting."""

from importlib import import_module

from clicktrail.settings.settings import Settings


def check_certificate(settings: Settings, owner: str) -> None:
    """See that the certificate in ``owner.tls_certificate`` can be used, where there is one.

    What reads it is loaded only then. Raises `SettingError`; warns of one out of date.
    """
    if settings[f"{owner}.tls_certificate"] is not None:
        import_module("clicktrail.service.checks.certificates").check(settings, owner)
