"""What is measured, for Prometheus. Names and units as its conventions have them.

Each process has one `Metrics`. Under a supervisor their values go to files (`count_into`), which
the operator's port adds up.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, values

_FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def count_into(folder: str) -> None:
    """Let what is counted from now on, in this process and its children, go to files there.

    A `Gauge` too, whichever registry it is in: what is looked up anew for each answer must be none.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


class Metrics:
    """Counters and histograms of the hot paths, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.redirects = self._counter(
            "redirects", "Answers of the redirect to requests for tracking links.", "status"
        )
        self.clicks = self._counter("clicks", "Clicks that were logged durably.")
        self.opens = self._counter("opens", "Opens that were logged durably.")
        self.opens_recorded = self._counter(
            "opens_recorded", "Opens that were counted and told.", "verdict"
        )
        self.unsubscribes = self._counter(
            "unsubscribes", "Requests to unsubscribe that were logged durably."
        )
        self.unsubscribes_recorded = self._counter(
            "unsubscribes_recorded", "Requests to unsubscribe that were counted, told and obeyed."
        )
        self.clicks_unlogged = self._counter(
            "clicks_unlogged", "People who were redirected though their click could not be logged."
        )
        self.clicks_spooled = self._counter(
            "clicks_spooled", "Clicks that went to the spool because the journal failed."
        )
        self.clicks_drained = self._counter(
            "clicks_drained", "Clicks that were moved from the spool into the journal."
        )
        self.clicks_recorded = self._counter(
            "clicks_recorded", "Clicks that were counted and told.", "verdict"
        )
        self.commit = self._histogram(
            "journal_commit_seconds", "From a click's arrival until it is durable."
        )
        self.emails = self._counter("emails", "Emails by how they ended.", "outcome")
        self.links = self._counter("links", "Links that were replaced by tracking links.")
        self.smarthost_waits = self._counter(
            "smarthost_waits",
            "Emails that found all connections to the smarthost in use, by whether one came free.",
            "outcome",
        )
        self.smarthost_given_way = self._counter(
            "smarthost_given_way",
            "Silent emails whose connection to the smarthost went to one that waited.",
        )
        self.rewrite = self._histogram("rewrite_seconds", "Rewriting the links of one email.")

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"clicktrail_{name}", help_, labels, registry=self.registry)

    def _histogram(self, name: str, help_: str) -> Histogram:
        return Histogram(f"clicktrail_{name}", help_, buckets=_FAST, registry=self.registry)
