"""BatchGetMetricData: the counters, by day."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from clicktrail.errors import StoreUnavailable
from clicktrail.ingress.sesv2.operations import Call, Operation, bad_request
from clicktrail.ingress.sesv2.send_shapes import BatchGetMetricDataRequest, MetricQuery
from clicktrail.model import OTHER_PROVIDER, PROVIDERS, Where
from clicktrail.store import Store
from clicktrail.store.clicks.opens import DayOfOpens
from clicktrail.store.clicks.statistics import Day
from clicktrail.store.clicks.unsubscribes import DayOfUnsubscribes

MOST_QUERIES = 100
MOST_DAYS = 1100
DIMENSIONS: Final = ("CONFIGURATION_SET", "EMAIL_IDENTITY", "ISP")
OPEN: Final = "OPEN"
UNSUBSCRIBE: Final = "UNSUBSCRIBE"
METRICS: Final = {
    "SEND": "sent",
    "CLICK": "clicks",
    "DELIVERY_CLICK": "clicks",
    OPEN: "opens",
    UNSUBSCRIBE: "unsubscribes",
}
"""SES's metrics that are counted here, and by what name. `UNSUBSCRIBE` is not of SES."""

_PROVIDERS = {name.casefold(): name for name in (*PROVIDERS, OTHER_PROVIDER)}


class MetricData:
    """Does BatchGetMetricData."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self) -> list[Operation]:
        """Return the operations that are done here."""
        return [
            Operation(
                "BatchGetMetricData",
                "POST",
                "/metrics/batch",
                "read",
                self.batch_get_metric_data,
                BatchGetMetricDataRequest,
            ),
        ]

    async def batch_get_metric_data(
        self, _: Call, body: BatchGetMetricDataRequest
    ) -> dict[str, Any]:
        """Return ``Results`` and ``Errors``, one of the two for each query, in their order.

        A result has a value for each UTC day that has begun before ``EndDate``, from the day of
        ``StartDate`` on. Raises `ApiError` for queries that cannot be understood.
        """
        if not 0 < len(body.queries) <= MOST_QUERIES:
            raise bad_request(f"Queries: give 1 to {MOST_QUERIES}")
        if len({query.id for query in body.queries}) < len(body.queries):
            raise bad_request("Queries: each needs an Id of its own")
        asked = [(query, _days(query), _where(query)) for query in body.queries]
        answers = await asyncio.gather(*(self._answer(*each) for each in asked))
        return {
            "Results": [answer for answer in answers if "Code" not in answer],
            "Errors": [answer for answer in answers if "Code" in answer],
        }

    async def _answer(
        self, query: MetricQuery, days: list[datetime], where: Where
    ) -> dict[str, Any]:
        name = METRICS.get(query.metric)
        if name is None:
            return _error(
                query,
                "ACCESS_DENIED",
                f"the metric {query.metric!a} is not counted here: use one of {', '.join(METRICS)}",
            )
        found: Sequence[Day | DayOfOpens | DayOfUnsubscribes] = []
        if days:
            since, until = days[0].date().isoformat(), days[-1].date().isoformat()
            try:
                found = await self._daily(query.metric, replace(where, since=since, until=until))
            except StoreUnavailable:
                return _error(query, "INTERNAL_FAILURE", "the database cannot be read: try again")
        values = {day.day: getattr(day, name) for day in found}
        return {
            "Id": query.id,
            "Timestamps": [int(day.timestamp()) for day in days],
            "Values": [values.get(day.date().isoformat(), 0) for day in days],
        }

    async def _daily(
        self, metric: str, where: Where
    ) -> Sequence[Day | DayOfOpens | DayOfUnsubscribes]:
        if metric == OPEN:
            return await self._store.opens.daily(where)
        if metric == UNSUBSCRIBE:
            return await self._store.unsubscribes.daily(where)
        return await self._store.statistics.daily(where)


def _error(query: MetricQuery, code: str, message: str) -> dict[str, Any]:
    return {"Id": query.id, "Code": code, "Message": message}


def _days(query: MetricQuery) -> list[datetime]:
    """Return the UTC days of a query, each by its first moment."""
    try:
        start = datetime.fromtimestamp(query.start_date, UTC)
        end = datetime.fromtimestamp(query.end_date, UTC)
    except (ValueError, OverflowError, OSError):
        raise bad_request("StartDate, EndDate: expected seconds since 1970-01-01 UTC") from None
    first = start.replace(hour=0, minute=0, second=0, microsecond=0)
    number = math.ceil((end - first) / timedelta(days=1))
    if end <= start:
        raise bad_request("EndDate must be after StartDate")
    if number > MOST_DAYS:
        raise bad_request(f"StartDate, EndDate: at most {MOST_DAYS} days can be asked for at once")
    return [first + timedelta(days=n) for n in range(number)]


def _where(query: MetricQuery) -> Where:
    """Return what a query's dimensions let through."""
    where = Where()
    for name, value in (query.dimensions or {}).items():
        if name == "CONFIGURATION_SET":
            where = replace(where, configuration_set=value)
        elif name == "EMAIL_IDENTITY":
            named = value.strip()
            where = replace(where, identity=named if "@" in named else named.lower())
        elif name == "ISP":
            provider = _PROVIDERS.get(value.casefold())
            if provider is None:
                known = ", ".join(_PROVIDERS.values())
                raise bad_request(f"Dimensions.ISP: {value!a} is not known: use one of {known}")
            where = replace(where, provider=provider)
        else:
            raise bad_request(f"Dimensions: {name!a} is none: use {', '.join(DIMENSIONS)}")
    return where
