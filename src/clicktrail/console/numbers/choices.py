"""What filters offer: also what is deleted, while there are numbers of it."""

from datetime import UTC, datetime
from typing import Literal

from clicktrail.base.ids import first_of
from clicktrail.console.views import options
from clicktrail.model import Where
from clicktrail.store import Store

Dimension = Literal["configuration_set", "identity", "provider"]
LATELY = 90
"""Days: emails and clicks themselves are kept for about as long."""


async def choices(
    store: Store, by: Dimension, chosen: str | None, period: Where | None = None
) -> list[tuple[str, str]]:
    """Return the configuration sets or identities that can be chosen, as `options`: also those
    that were deleted and have numbers in a period (lately, where none is given)."""
    configuration = await store.configuration.current()
    known = configuration.sets if by == "configuration_set" else configuration.identities
    lately = Where(since=str(first_of(LATELY, datetime.now(UTC).date())))
    return options(known, chosen, await store.statistics.names(by, period or lately))
