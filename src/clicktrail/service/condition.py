"""How the certificates of all our domains are, for operators."""

from collections.abc import Sequence

from clicktrail.base.hostname import host_name, may_be_certified
from clicktrail.base.ids import now_us
from clicktrail.redirect.domains import fixed_domains
from clicktrail.settings.settings import Settings
from clicktrail.store import Store
from clicktrail.store.certificates import Health, State


async def certificates_of(settings: Settings, store: Store) -> Sequence[State]:
    """Return how it stands with each domain that certificates are ordered for, by name.

    None where none are ordered. Raises `StoreUnavailable`.
    """
    if not settings["acme.email"]:
        return ()
    sets = (await store.configuration.current()).sets.values()
    domains = [*fixed_domains(settings), *(each.redirect_domain for each in sets)]
    names = {host_name(each) for each in domains if each}
    return await store.certificates.states(filter(may_be_certified, names))


def complaints(states: Sequence[State]) -> list[str]:
    """Return what is wrong with them, a sentence each."""
    now = now_us()
    told = {
        Health.MISSING: "has no certificate",
        Health.EXPIRED: "has a certificate that has expired",
        Health.EXPIRING: "has a certificate that should have been renewed",
    }
    return [
        f"{each.name} {told[health]}" + (f": {each.problem}" if each.problem else "")
        for each in states
        if (health := each.health(now)) in told
    ]
