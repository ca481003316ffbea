"""What speaks against a person: signs, which a number holds together, and what they come to."""

from functools import lru_cache

from clicktrail.model import USUAL, Judgement
from clicktrail.store.clicks.judging.reasons import REASONS, judgement_of

OWN_BITS = 12
"""So many signs a click may have by itself: they are remembered of it."""

(
    USER_AGENT,
    NO_USER_AGENT,
    NETWORK,
    TOO_FAST,
    NO_HEADERS,
    FEW_HEADERS,
    OTHER_HINTS,
    HEADLESS,
    PREVIEW,
    IS_HEAD,
    ALTERED,
    CLOUD,
) = (1 << n for n in range(12))
"""Signs of a click by itself. ``IS_HEAD`` is that of a visit that is no click."""

GATEWAY = 1 << OWN_BITS
"""What clicks from the same network say of it, over the emails of many: remembered of it, too."""

HONEYPOT, BURST, LARGE_BURST, HEAD, SWEEP, DOUBLE_FETCH, PROXY = (
    1 << OWN_BITS + 1 + n for n in range(7)
)
"""Signs that the clicks of an email give one another; and ``PROXY``, which opens alone have."""

_SIGNS = {
    "user-agent": USER_AGENT,
    "no-user-agent": NO_USER_AGENT,
    "network": NETWORK,
    "cloud": CLOUD,
    "honeypot": HONEYPOT,
    "gateway": GATEWAY,
    "too-fast": TOO_FAST,
    "burst": BURST,
    "no-headers": NO_HEADERS,
    "few-headers": FEW_HEADERS,
    "client-hints": OTHER_HINTS | HEADLESS,
    "preview": PREVIEW,
    "head": HEAD,
    "sweep": SWEEP,
    "double-fetch": DOUBLE_FETCH,
    "proxy": PROXY,
    "altered": ALTERED,
}
"""By the reason that is told (`clicktrail.store.clicks.judging.reasons.REASONS`)."""

CERTAIN = sum(_SIGNS[reason] for reason, why in REASONS.items() if why.weight > 1) & ~OTHER_HINTS
"""Each of these alone is a machine's."""


@lru_cache(1 << 9)
def judgement(signs: int, suspect: int = USUAL.suspect, machine: int = USUAL.machine) -> Judgement:
    """Return the judgement of a click with those signs (`judgement_of`)."""
    if signs & BURST:
        signs &= ~(SWEEP | DOUBLE_FETCH)  # the same fact twice
    reasons = [reason for reason in REASONS if signs & _SIGNS[reason]]
    weight = sum(REASONS[reason].weight for reason in reasons)
    weight += sum(bool(signs & more) for more in _HEAVIER)
    return judgement_of(reasons, weight, suspect, machine)


_HEAVIER = (LARGE_BURST, HEADLESS)
"""Signs that weigh one more than their reason."""
