"""Who gets no email: the one step that refuses recipients, whichever door an email came by.

Whoever knows a reason why people get none is a `Reason`, and is asked about each email.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import msgspec

from clicktrail.errors import MessageRefused
from clicktrail.headers.fields import HeaderSection
from clicktrail.ingress.submission import Submission
from clicktrail.model import ConfigurationSet
from clicktrail.model.subscription import ListOptions
from clicktrail.store.configuration import Configuration
from clicktrail.store.people.suppression import SuppressionList, SuppressionReason

_SHOWN = 3
"""Recipients that a refusal names: a reply has few words (RFC 5321 § 4.5.3.1.5)."""


class RecipientRefused(MessageRefused):
    """Recipients of an email get none like it. ``why`` tells it of each, in words."""

    def __init__(self, why: Mapping[str, str]) -> None:
        shown = [f"{address[:320]!a} {reason}" for address, reason in why.items()][:_SHOWN]
        if len(why) > _SHOWN:
            shown.append(f"and so for {len(why) - _SHOWN} more recipients")
        super().__init__(550, f"5.7.1 {'; '.join(shown)}")  # RFC 3463 § 3.8: not authorized
        self.why = why


@dataclass(frozen=True, slots=True)
class Email:
    """What is known of an email when its recipients are looked at."""

    submission: Submission
    header: HeaderSection
    configuration: Configuration
    chosen: ConfigurationSet | None
    options: ListOptions | None
    """The contact list that it belongs to."""


class Reason(Protocol):
    """A reason why some people get no email, or not this one."""

    async def against(self, recipients: Sequence[str], email: Email) -> Mapping[str, str]:
        """Return why recipients do not get an email, in words that follow their address.

        They are told to whoever sends: nothing that is only the recipient's belongs there. Raises
        `StoreUnavailable`.
        """


class Refusals:
    """Asks all reasons; the first that there is for a recipient is told."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        self._reasons = reasons

    async def check(self, email: Email) -> None:
        """Raise `RecipientRefused` where an email has recipients who do not get it.

        All of it is refused then: what a sender is told of one recipient alone, it is told where
        it names recipients one by one, by SMTP (`Suppression.anywhere`).
        """
        why: dict[str, str] = {}
        for reason in self._reasons:
            why = {**await reason.against(email.submission.recipients, email), **why}
        if why:
            raise RecipientRefused(why)


class Suppression:
    """The reason of who is on the suppression list."""

    def __init__(self, listed: SuppressionList) -> None:
        self._listed = listed
        self._version = -1
        self._everywhere: frozenset[SuppressionReason] = frozenset()

    async def against(self, recipients: Sequence[str], email: Email) -> Mapping[str, str]:
        """See `Reason.against`."""
        if not email.configuration.suppresses:
            return {}
        return await self._listed_for(recipients, in_force(email.configuration, email.chosen))

    async def anywhere(self, recipient: str, configuration: Configuration) -> None:
        """Raise `RecipientRefused` for who gets no email, whatever its configuration set is.

        That is not known before the whole email is there.
        """
        if not configuration.suppresses:
            return
        if self._version != configuration.version:
            choices = (None, *configuration.sets.values())
            forces = [in_force(configuration, chosen) for chosen in choices]
            self._everywhere = frozenset.intersection(*forces)
            self._version = configuration.version
        if why := await self._listed_for([recipient], self._everywhere):
            raise RecipientRefused(why)

    async def _listed_for(
        self, recipients: Sequence[str], reasons: frozenset[SuppressionReason]
    ) -> dict[str, str]:
        if not reasons:
            return {}
        found = await self._listed.among(recipients)
        return {
            address: f"is on the suppression list ({reason}): to send there all the same, take it"
            " off (clicktrail suppression remove)"
            for address, reason in found.items()
            if reason in reasons
        }


def in_force(
    configuration: Configuration, chosen: ConfigurationSet | None
) -> frozenset[SuppressionReason]:
    """Return which reasons on the suppression list keep emails of a configuration set back.

    The configuration set's ``SuppressedReasons``, else the account's, else all. An empty list
    switches suppression off; any other holds ``UNSUBSCRIBE`` too, which SES has no name for.
    """
    named = _reasons(chosen.options, "SuppressionOptions") if chosen else None
    if named is None:
        named = _reasons(configuration.account.get("SuppressionAttributes", "{}"))
    if named is None:
        return frozenset(SuppressionReason)
    return named | {SuppressionReason.UNSUBSCRIBE} if named else named


@lru_cache(maxsize=1024)
def _reasons(options: str, member: str = "") -> frozenset[SuppressionReason] | None:
    if "SuppressedReasons" not in options:
        return None
    given = msgspec.json.decode(options)
    named = (given.get(member) or {} if member else given).get("SuppressedReasons")
    if named is None:
        return None
    return frozenset(each for each in SuppressionReason if each.value in named)
