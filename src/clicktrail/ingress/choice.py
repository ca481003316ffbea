"""Which configuration set an email belongs to."""

from clicktrail.errors import MessageRefused
from clicktrail.model import NAME_LIMIT, ConfigurationSet, Identity
from clicktrail.store.configuration import Configuration


class UnknownConfigurationSet(MessageRefused):
    """The email names a configuration set that does not exist (behaviour § 1)."""

    def __init__(self, name: str) -> None:
        super().__init__(554, f"5.6.0 there is no configuration set {name[:NAME_LIMIT]!a}")
        self.name = name


class SendingPaused(MessageRefused):
    """The email's configuration set does not send now (``PutConfigurationSetSendingOptions``)."""

    def __init__(self, name: str) -> None:
        super().__init__(
            550, f"5.7.1 sending is turned off for the configuration set {name!a}: turn it on again"
        )
        self.name = name


def choose(
    configuration: Configuration, named: str | None, identity: Identity | None
) -> ConfigurationSet | None:
    """Return the configuration set, in the order of behaviour § 1: named, the identity's, none.

    Raises `UnknownConfigurationSet` and `SendingPaused`.
    """
    chosen = _found(configuration, named, identity)
    if chosen is not None and not chosen.sending:
        raise SendingPaused(chosen.name)
    return chosen


def _found(
    configuration: Configuration, named: str | None, identity: Identity | None
) -> ConfigurationSet | None:
    if named:
        found = configuration.sets.get(named)
        if found is None:
            raise UnknownConfigurationSet(named)
        return found
    bound = identity.configuration_set if identity else None
    return configuration.sets.get(bound) if bound else None
