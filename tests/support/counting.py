"""What is counted, whichever day it is."""

from clicktrail.model import Where
from clicktrail.store import Store
from clicktrail.store.clicks.statistics import EVERYTHING, Counts, sum_of


async def counted(store: Store, where: Where = EVERYTHING) -> Counts:
    """Return the sums over all days: a test may run at midnight."""
    return sum_of(await store.statistics.daily(where))
