"""What the console looks at: mailings, what became of an email; whatever the database."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from clicktrail.base.ids import day_of, hour_of, new_id
from clicktrail.model import Click, Message, Verdict, Where
from clicktrail.store import Store
from clicktrail.store.clicks.clicks import RECENT, LoggedClick, Outgoing
from clicktrail.store.clicks.outbox import Failed, Notification
from clicktrail.store.clicks.statistics import Dimensions
from clicktrail.store.clicks.streams import NewStreamEvent
from clicktrail.store.mail.grouping import mailings_of
from support.jury import Correction
from support.summer import DAY, indexed, sent

HOUR = 3_600_000_000


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()


def clicked(message: Message, link: int = 0, at: int = DAY + HOUR, **more: object) -> LoggedClick:
    url = message.links[link].url
    click = Click(new_id(at), message.id, link, url, at, "192.0.2.1", "Firefox")
    made = LoggedClick(
        click,
        Dimensions(hour_of(at), "news", "", "Google"),
        mailings=tuple(key.digest for key in mailings_of(message)),
    )
    return replace(made, **more)  # type: ignore[arg-type]


class TestMailings:
    async def test_emails_with_the_same_subject_or_tag_are_one(self, store: Store) -> None:
        for n in range(3):
            last = await sent(store, DAY + n * HOUR, recipients=(f"{n}@example.org",))
        await sent(store, configuration_set="bills")
        await indexed(store)
        [bills, news] = sorted(
            await store.mailings.newest("subject", 9), key=lambda each: each.configuration_set
        )
        assert (news.name, news.sent, news.message_id) == ("Our summer offers", 3, last.id)
        assert (news.first_at, news.last_at) == (DAY, DAY + 2 * HOUR)
        assert (bills.configuration_set, bills.sent) == ("bills", 1)
        assert {m.name for m in await store.mailings.newest("tag", 9)} == {"campaign=summer"}
        assert await store.mailings.get(news.digest) == news
        assert await store.mailings.get(b"no") is None

    async def test_more_emails_are_added_up(self, store: Store) -> None:
        for n in range(2):
            await sent(store, DAY + n * HOUR)
            await indexed(store)
        [mailing] = await store.mailings.newest("subject", 9)
        assert (mailing.sent, mailing.first_at, mailing.last_at) == (2, DAY, DAY + HOUR)

    async def test_whoever_is_indexed_first_the_newest_email_stands_for_all(
        self, store: Store
    ) -> None:
        late = await sent(store, DAY + HOUR)
        await indexed(store)
        await sent(store, DAY)
        await indexed(store)
        [mailing] = await store.mailings.newest("subject", 9)
        assert (mailing.first_at, mailing.last_at) == (DAY, DAY + HOUR)
        assert (mailing.sent, mailing.message_id) == (2, late.id)

    async def test_an_email_that_is_not_tracked_is_in_none(self, store: Store) -> None:
        await sent(store, links=())
        await indexed(store)
        assert await store.mailings.newest("subject", 9) == []

    async def test_clicks_are_counted_by_place(self, store: Store) -> None:
        one, two = await sent(store), await sent(store)
        await indexed(store)
        await store.clicks.record([clicked(one), clicked(one), clicked(two), clicked(two, 1)])
        machine = clicked(two, 1, verdict=Verdict.MACHINE)
        await store.clicks.record([machine])
        [mailing] = await store.mailings.newest("subject", 9)
        rows = [
            (r.link, r.url, r.clicks, r.unique_clicks, r.human_clicks)
            for r in await store.mailings.links(mailing.digest)
        ]
        assert rows == [
            (0, "https://example.com/a", 3, 2, 3),
            (1, "https://example.com/b", 2, 1, 1),
        ]

    async def test_they_go_when_they_are_old(self, store: Store) -> None:
        message = await sent(store)
        await indexed(store)
        await store.clicks.record([clicked(message)])
        [mailing] = await store.mailings.newest("subject", 9)
        assert await store.mailings.forget(DAY) == 0
        assert await store.mailings.forget(DAY + 1) == 2  # by its subject, and by its tag
        assert await store.mailings.links(mailing.digest) == []


class TestTrail:
    async def test_clicks_of_each_link(self, store: Store) -> None:
        message = await sent(store)
        assert await store.trail.links(message.id) == ({}, [])
        first = clicked(message, 0, DAY + HOUR)
        later = clicked(message, 0, DAY + 2 * HOUR, verdict=Verdict.MACHINE, reasons=("crawler",))
        await store.clicks.record([first])
        await store.clicks.record([first, later, clicked(message, 1, DAY + 3 * HOUR)])
        places, seen = await store.trail.links(message.id)
        a = places[0]
        assert (a.clicks, a.human_clicks, a.first_at, a.last_at) == (
            2,
            1,
            DAY + HOUR,
            DAY + 2 * HOUR,
        )
        assert [(row.click.link, row.verdict) for row in seen] == [
            (0, Verdict.HUMAN),
            (0, Verdict.MACHINE),
            (1, Verdict.HUMAN),
        ]

    async def test_a_corrected_click_is_not_human_there_either(self, store: Store) -> None:
        message = await sent(store)
        click = clicked(message)
        await store.clicks.record([click])
        await store.clicks.record([], Correction([replace(click, verdict=Verdict.MACHINE)]))
        places, _ = await store.trail.links(message.id)
        assert (places[0].clicks, places[0].human_clicks) == (1, 0)
        assert await store.mailings.newest("subject", 9) == []  # nothing was indexed; it counts
        digest = mailings_of(message)[0].digest
        assert [(r.clicks, r.human_clicks) for r in await store.mailings.links(digest)] == [(1, 0)]

    async def test_the_newest_clicks_of_a_link_are_remembered(self, store: Store) -> None:
        message = await sent(store)
        made = [clicked(message, 0, DAY + n * HOUR) for n in range(RECENT + 15)]
        for start in range(0, len(made), 7):
            await store.clicks.record(made[start : start + 7])
        places, seen = await store.trail.links(message.id)
        assert places[0].clicks == len(made)
        assert [row.click.event_id for row in seen] == [m.click.event_id for m in made[-RECENT:]]

    async def test_how_far_notifications_came(self, store: Store) -> None:
        message = await sent(store)
        click = clicked(message)
        id_ = click.click.event_id
        told: tuple[Outgoing, ...] = (
            NewStreamEvent("clicks", f"{id_}:0", b"{}", DAY),
            *(Notification(f"{id_}:{n}", "news", f"hook{n}", "arn", b"{}") for n in (1, 2, 3, 4)),
        )
        await store.clicks.record([replace(click, outgoing=told)])
        for n in (1, 2, 3):
            key = ("news", f"hook{n}")
            [claimed] = await store.outbox.claim(key, "arn", 1 << 60, 1 << 61, 9)
            failed = [Failed(claimed, "500 sorry", None if n == 2 else 77)]
            await store.outbox.settle(key, *(([claimed], []) if n == 1 else ([], failed)), DAY + n)
        found = (await store.trail.told([id_, "other"]))[id_]
        assert [(t.where, t.state, t.attempts, t.error) for t in found] == [
            ("stream clicks", "in the stream", 0, ""),
            ("news / hook1", "delivered", 1, ""),
            ("news / hook2", "dead", 1, "500 sorry"),
            ("news / hook3", "waiting", 1, "500 sorry"),
            ("news / hook4", "waiting", 0, ""),
        ]
        assert [t.at for t in found[:4]] == [DAY, DAY + 1, DAY + 2, 77]
        assert await store.outbox.forget_delivered(DAY + 2 * HOUR) == 1
        assert len((await store.trail.told([id_]))[id_]) == 4

    async def test_html_is_kept_as_it_is_unless_it_is_huge(self, store: Store) -> None:
        parts = ("<p>Grüße \U0001f600", "\ud800<b>")
        kept = await sent(store, html=parts)
        huge = await sent(store, html=("<p>" + "x" * 2_000_000,))
        assert await store.trail.html(kept.id) == (parts[0], "?<b>")
        assert await store.trail.html(huge.id) == ()
        assert await store.trail.html("none") == ()


class TestHours:
    async def test_the_hours_of_a_day_add_up_to_it(self, store: Store) -> None:
        message = await sent(store, DAY)
        await store.clicks.record([clicked(message, 0, DAY + n * HOUR) for n in (0, 1, 1)])
        hours = await store.statistics.hourly(Where(since=day_of(DAY), until=day_of(DAY)))
        [day] = await store.statistics.daily()
        assert [(h.day, h.sent, h.clicks, h.unique_clicks) for h in hours] == [
            (hour_of(DAY), 1, 1, 1),
            (hour_of(DAY + HOUR), 0, 2, 0),
        ]
        assert (day.day, day.sent, day.clicks, day.unique_clicks) == (day_of(DAY), 1, 3, 1)

    async def test_old_hours_are_forgotten_and_days_are_not(self, store: Store) -> None:
        await sent(store, DAY)
        await sent(store, DAY + HOUR)
        assert await store.statistics.forget_hours(DAY + HOUR) == 1
        assert [h.day for h in await store.statistics.hourly()] == [hour_of(DAY + HOUR)]
        assert [d.sent for d in await store.statistics.daily()] == [2]

    async def test_a_period_from_hour_to_hour_is_what_lies_between(self, store: Store) -> None:
        message = await sent(store, DAY)
        times = [DAY + n * HOUR for n in (0, 1, 5, 23, 24, 47, 48, 90)]
        await store.clicks.record([clicked(message, 0, at) for at in times])
        for first, last in ((0, 1), (1, 23), (1, 24), (5, 48), (2, 80), (0, 90), (24, 47)):
            where = Where(since=hour_of(DAY + first * HOUR), until=hour_of(DAY + last * HOUR))
            inside = [at for at in times if DAY + first * HOUR <= at < DAY + (last + 1) * HOUR]
            total = await store.statistics.total(where)
            [group] = await store.statistics.groups("provider", where)
            assert (total.clicks, total.sent) == (len(inside), 0 if first else 1), (first, last)
            assert group.clicks == len(inside)
        assert (await store.statistics.total(Where(since="2990-01-01"))).clicks == 0

    async def test_it_is_known_from_when_on_all_hours_are(self, store: Store) -> None:
        assert await store.statistics.first_hour() == ""
        await sent(store, DAY)
        await sent(store, DAY + HOUR)
        assert await store.statistics.first_hour() == ""
        await store.statistics.forget_hours(DAY + HOUR)
        assert await store.statistics.first_hour() > hour_of(DAY)
        await store.statistics.forget_hours(DAY + 2 * HOUR)
        assert await store.statistics.first_hour() > "2990"
