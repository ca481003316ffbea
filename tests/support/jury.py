"""A jury that finds clicks guilty that were recorded before, for tests of the store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from clicktrail.model import Click, Judgement, Verdict
from clicktrail.store.clicks.clicks import LoggedClick
from clicktrail.store.clicks.judging.evidence import RECORD, Evidence


class Correction:
    """Gives clicks the verdicts and reasons that they have here."""

    def __init__(self, corrected: Sequence[LoggedClick]) -> None:
        self._corrected = {each.click.event_id: each for each in corrected}
        self.evidence: Mapping[str, str] = {}
        self.crowds: Mapping[str, tuple[str, str]] = {}
        self.visits = {e.click.message_id: Evidence(traps="-" * RECORD) for e in corrected}

    def judge(self, message_id: str, new: Evidence, known: Evidence) -> Mapping[str, Judgement]:
        return {id_: Judgement(e.verdict, e.reasons) for id_, e in self._corrected.items()}

    def judge_marked(
        self, message_id: str, before: Evidence, after: Evidence
    ) -> Mapping[str, Judgement]:
        return {}

    def gateways(self, records: str) -> list[int]:
        return []

    def marked(self, records: str, states: Mapping[str, bool]) -> str:
        return records

    def alone(self, message_id: str, record: str) -> Judgement:
        return Judgement(Verdict.HUMAN, ())

    def told(self, logged: LoggedClick, judged: Judgement) -> LoggedClick:
        return logged

    def corrected(self, earlier: LoggedClick, before: Verdict, judged: Judgement) -> LoggedClick:
        return replace(earlier, outgoing=())  # nobody is told

    def counted(self, click: Click) -> LoggedClick:
        return self._corrected[click.event_id]
