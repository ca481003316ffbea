"""The time line of an email: what happened, who did it, and who was told."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clicktrail.model import Click, Verdict
from clicktrail.store.clicks.opens import Open
from clicktrail.store.clicks.unsubscribes import Unsubscribe
from clicktrail.store.mail.browse import ClickRow
from clicktrail.store.mail.trail import Told

_WORST = (Verdict.MACHINE, Verdict.SUSPECT, Verdict.HUMAN)


@dataclass(slots=True)
class Moment:
    """Something that happened to an email: once, or several times by the same visitor."""

    text: str
    at: int
    """When first; microseconds since 1970 UTC."""
    last_at: int = 0
    times: int = 1
    number: int = 0
    """The link's place in the email, from 1; 0 for what is no click."""
    url: str = ""
    visitor: tuple[str, str] | None = None
    """Address and User-Agent, as far as they are kept; ``None`` where nobody visited."""
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    @property
    def judged(self) -> list[tuple[Verdict, int]]:
        """The verdicts that there are, and how often each."""
        return [(each, self.verdicts[each]) for each in _WORST if self.verdicts[each]]

    @property
    def late(self) -> list[Told]:
        """The notifications that did not arrive yet, or never will."""
        return [each for each in self.told if each.state in ("dead", "waiting")]

    def add(self, at: int, verdict: Verdict, reasons: Iterable[str], told: Iterable[Told]) -> None:
        """Add one more time that it happened; ``at`` is not before those that there are."""
        self.last_at = at
        self.verdicts[verdict] += 1
        self.times = self.verdicts.total()
        self.reasons += [each for each in reasons if each not in self.reasons]
        self.told += told


def moments_of(
    clicks: Sequence[ClickRow],
    opens: Sequence[Open],
    told: Mapping[str, list[Told]],
    texts: Mapping[int, str],
    left: Sequence[Unsubscribe] = (),
) -> list[Moment]:
    """Return what visitors did, the earliest first: the clicks of each on one link together, and
    so the fetches of an image. ``texts`` are those of the links, by number; ``left`` is who has
    unsubscribed."""
    found: dict[tuple[object, ...], Moment] = {}
    for each in sorted(clicks, key=lambda each: each.click.clicked_at):
        click = each.click
        visitor = (click.ip, click.user_agent)
        key = (click.link, click.url, click.destination, *visitor)
        if key not in found:
            name = f" “{texts[click.link]}”" if click.link in texts else ""
            found[key] = Moment(
                f"Click on link {click.link + 1}{name}",
                click.clicked_at,
                number=click.link + 1,
                url=_led(click),
                visitor=visitor,
            )
        found[key].add(click.clicked_at, each.verdict, each.reasons, told[click.event_id])
    for opened in sorted(opens, key=lambda each: each.opened_at):
        by = f" by {opened.proxy}'s image proxy" if opened.proxy else ""
        visitor = (opened.ip, opened.user_agent)
        made = Moment(f"Image of an open fetched{by}", opened.opened_at, visitor=visitor)
        moment = found.setdefault(("open", opened.proxy, *visitor), made)
        moment.add(opened.opened_at, opened.verdict, opened.reasons, told[opened.event_id])
    gone = [
        Moment(f"Unsubscribed from {_what(each)}", each.unsubscribed_at, told=told[each.event_id])
        for each in left
    ]
    return sorted([*found.values(), *gone], key=lambda moment: moment.at)


def _what(left: Unsubscribe) -> str:
    topic = f"topic {left.topic} of " if left.topic else ""
    return f"{topic}the contact list {left.contact_list}"


def _led(click: Click) -> str:
    """Return the URL of a click's link, and where it led if it was changed."""
    if click.destination == "":
        return click.url
    return f"{click.url} → {click.destination or 'nowhere: it was blocked'}"


def notified(moments: Iterable[Moment]) -> str:
    """Say in a sentence how far all notifications came; nothing where there are none."""
    told = [each for moment in moments for each in moment.told]
    states = Counter(
        "arrived" if t.state in ("in the stream", "delivered") else t.state for t in told
    )
    parts = [f"{states[name]:,} {words}" for name, words in _STATES if states[name]]
    number = f"{len(told):,} notification{'' if len(told) == 1 else 's'}"
    return f"{number}: {', '.join(parts)}." if told else ""


_STATES = (("arrived", "delivered"), ("waiting", "on their way"), ("dead", "not delivered"))
