"""Who clicked: a person, a machine, or somebody suspect (docs/machine-clicks.md).

What a click says by itself is known when it is read (`Judge`). The rest is what the clicks of an
email say of one another, whatever address and User-Agent they give (`judge_again`): scanners change
both, and so do people (a private relay gives each request an address); and what those from one
network say of it over the emails of many recipients (`gateways`). The reasons, in words and
with what each weighs, are in `clicktrail.store.clicks.judging.reasons`.
"""

from clicktrail.model import USUAL, Click, Request
from clicktrail.publish.networks import Networks
from clicktrail.publish.visitor_verdict.agents import (
    names_itself_a_browser,
    names_itself_a_machine,
)
from clicktrail.publish.visitor_verdict.records import record
from clicktrail.publish.visitor_verdict.signs import (
    ALTERED,
    CLOUD,
    FEW_HEADERS,
    HEADLESS,
    IS_HEAD,
    NETWORK,
    NO_HEADERS,
    NO_USER_AGENT,
    OTHER_HINTS,
    PREVIEW,
    TOO_FAST,
    USER_AGENT,
    judgement,
)
from clicktrail.publish.visitor_verdict.together import judge_again

__all__ = ["Judge", "judge_again", "judgement", "names_itself_a_machine", "record"]

_BROWSER = Request.HTML | Request.LANGUAGE
"""What every browser sends with a navigation: Chromium, Firefox and Safari, their web views in
apps, and over http too. (``Sec-Fetch-*`` and client hints go to https alone, Fetch Metadata § 2,
and Safari before 16.4 has none, so that nothing follows where they are missing.)"""
_NONE = _BROWSER | Request.NAVIGATION | Request.SUBRESOURCE | Request.HINTS


class Judge:
    """Judges clicks by what each says itself.

    ``networks`` are those of known machines, ``clouds`` those of rented servers.
    """

    def __init__(self, networks: Networks | None = None, clouds: Networks | None = None) -> None:
        self.know(networks or Networks(), clouds or Networks())

    def know(self, networks: Networks, clouds: Networks) -> None:
        """Take other known networks, for the clicks to come."""
        self._networks, self._clouds = networks, clouds
        self._knows_clouds = bool(clouds)

    def signs(self, click: Click, accepted_at: int | None, too_fast: int = USUAL.too_fast) -> int:
        """Return the signs of a click.

        ``accepted_at`` is when its email was accepted, ``None`` where that is not known;
        ``too_fast`` that of its configuration set (`Thresholds`), 0 for never, also where another
        node's clock is behind.
        """
        signs = 0
        if names_itself_a_machine(click.user_agent):
            signs = USER_AGENT
        elif not click.user_agent.strip():
            signs = NO_USER_AGENT
        if click.ip in self._networks:
            signs |= NETWORK
        elif self._knows_clouds and click.ip in self._clouds:
            signs |= CLOUD
        if too_fast and accepted_at is not None:
            soon = click.clicked_at - accepted_at < too_fast * 1000
            signs |= TOO_FAST if soon else 0
        if click.request:
            signs |= _shown(click.request, click.user_agent)
        return signs


def _shown(request: int, user_agent: str) -> int:
    """Return the signs of what a request showed beside its User-Agent."""
    signs = IS_HEAD if request & Request.HEAD else 0
    if request & Request.ALTERED:
        signs |= ALTERED
    if request & Request.PREVIEW:
        signs |= PREVIEW
    if request & Request.OTHER_HINTS:
        signs |= OTHER_HINTS
    if request & Request.HEADLESS:
        signs |= HEADLESS
    is_whole = request & _BROWSER == _BROWSER and not request & Request.SUBRESOURCE
    if request & Request.LOOKED and not is_whole and names_itself_a_browser(user_agent):
        signs |= FEW_HEADERS if request & _NONE else NO_HEADERS
    return signs
