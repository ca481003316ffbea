"""What is counted, whichever day it is."""

from clicktrail.model import Where
from clicktrail.store import Store
from clicktrail.store.clicks.statistics import EVERYTHING, Counts


async def counted(store: Store, where: Where = EVERYTHING) -> Counts:
    """Return the sums over all days: a test may run at midnight."""
    days = await store.statistics.daily(where)
    return Counts(
        sent=sum(day.sent for day in days),
        clicks=sum(day.clicks for day in days),
        unique_clicks=sum(day.unique_clicks for day in days),
        human_clicks=sum(day.human_clicks for day in days),
    )
