"""What the newest clicks of an email say of one another: they are judged together.

An email's clicks may come to several publishers, and in any order. So a publisher judges them by
what the store has, in the transaction that counts: its row of evidence, which nobody else changes
until that ends. What a record says is the publisher's business; here it is text of one length.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, func, literal_column

from clicktrail.model import Click, Judgement, Verdict
from clicktrail.store.clicks.tables import evidence
from clicktrail.store.database.bulk import BulkInsert

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

L = TypeVar("L")
"""A click as it is recorded: `clicktrail.store.clicks.clicks.LoggedClick`."""

RECORD = 34
"""Characters of a record, which begins with the click's event id."""
NOBODY = "------"
"""Its end, where it does not tell from which address and browser the click came."""
RECENT = 24
"""So many clicks of an email are remembered, the last that came. (With more, SQLite would keep
the row on two pages.)"""
RECENT_TRAPS = 4
"""So many visits of its hidden link."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Records of an email's clicks, and of visits of its hidden link, one behind the other."""

    records: str = ""
    traps: str = ""

    def __add__(self, older: "Evidence") -> "Evidence":
        """Return this evidence before what is older."""
        return Evidence(self.records + older.records, self.traps + older.traps)

    def without_person(self) -> "Evidence":
        """Return what may be remembered of an email whose recipient was erased."""
        return Evidence(_without_person(self.records), _without_person(self.traps))


def _without_person(records: str) -> str:
    return "".join(
        records[at : at + RECORD - len(NOBODY)] + NOBODY for at in range(0, len(records), RECORD)
    )


class Jury(Protocol[L]):
    """Judges the clicks of a batch together with earlier ones of the same emails."""

    @property
    def evidence(self) -> Mapping[str, str]:
        """Return the records of clicks, by event id."""
        ...

    @property
    def visits(self) -> Mapping[str, Evidence]:
        """Return the records of what is no click, by the email's id: HEAD, and hidden links."""
        ...

    @property
    def crowds(self) -> Mapping[str, tuple[str, str]]:
        """Return the crowds to which clicks belong, and their records in these, by event id."""
        ...

    def gateways(self, records: str) -> list[int]:
        """Return the places of records of a crowd in which it says the wrong thing of a click.

        That is whether the click is a gateway's (`clicktrail.store.clicks.judging.crowds`).
        """
        ...

    def marked(self, records: str, states: Mapping[str, bool]) -> str:
        """Return records of clicks of an email, with whether some of them are a gateway's."""
        ...

    def alone(self, message_id: str, record: str) -> Judgement:
        """Return the judgement of a click by its record alone."""
        ...

    def judge_marked(
        self, message_id: str, before: Evidence, after: Evidence
    ) -> Mapping[str, Judgement]:
        """Return judgements of an email's clicks that change where others are a gateway's."""
        ...

    def judge(self, message_id: str, new: Evidence, known: Evidence) -> Mapping[str, Judgement]:
        """Return judgements of an email's clicks that have changed, by event id.

        ``known`` is what was there before. What is new was judged by itself alone.
        """
        ...

    def told(self, logged: L, judged: Judgement) -> L:
        """Return a new click with another judgement, as it is told."""
        ...

    def corrected(self, earlier: L, before: Verdict, judged: Judgement) -> L:
        """Return an earlier click with another judgement, and who is told that it has changed."""
        ...

    def counted(self, click: Click) -> L:
        """Return an earlier click of one of these emails with all that it was counted by."""
        ...


def weigh(
    connection: Connection, new: Mapping[str, Evidence]
) -> Iterator[tuple[str, Evidence, Evidence]]:
    """Add evidence by email; yield its id, what is new and what was known, where it is not alone.

    Of an email with one new click about which nothing else is known, there is nothing to say.
    Holds the emails' rows until the transaction ends, so that others who add to them wait.
    """
    rows = [(id_, e.records[:_MOST], e.traps[:_MOST_TRAPS]) for id_, e in sorted(new.items())]
    for id_, records, traps in _ADD.run(connection, rows):
        added = new[id_]
        if len(records) > RECORD or traps:
            known = Evidence(records[len(added.records) :], traps[len(added.traps) :])
            yield id_, added, known


_MOST, _MOST_TRAPS = RECENT * RECORD, RECENT_TRAPS * RECORD


def _joined(
    inserting: "sqlite.Insert | postgresql.Insert", name: str, most: int
) -> ColumnElement[str]:
    joined = inserting.excluded[name] + evidence.c[name]
    return func.substr(joined, literal_column("1"), literal_column(str(most)))


_ADD = BulkInsert(
    evidence,
    finish=lambda s: s.on_conflict_do_update(
        index_elements=[evidence.c.message_id],
        set_={
            "records": _joined(s, "records", _MOST),
            "traps": _joined(s, "traps", _MOST_TRAPS),
        },
    ).returning(evidence.c.message_id, evidence.c.records, evidence.c.traps),
)
