"""What every store does, whatever database it uses."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import Column, Connection, update

from clicktrail.base.ids import new_id, now_us
from clicktrail.errors import AlreadyExists, InvalidInput, NotFound, StoreUnavailable
from clicktrail.keys.vault import Vault
from clicktrail.model import (
    ConfigurationSet,
    EventDestination,
    EventType,
    HttpsPolicy,
    Identity,
    Link,
    Message,
    MessageState,
    Reason,
    Role,
    Where,
)
from clicktrail.store import Store
from clicktrail.store.clicks.streams import NewStreamEvent
from clicktrail.store.configuration_rows import bump
from clicktrail.store.mail.tables import unindexed
from clicktrail.store.tables import (
    account_options,
    configuration_sets,
    event_destinations,
    identities,
)

CLICKS = frozenset({EventType.CLICK})
STREAM = EventDestination("clicks", "arn:clicktrail:stream:::clicks", CLICKS)
DAY = 1_790_000_000_000_000  # 2026-09-21
PASSWORD = "correct horse battery"


@pytest.fixture
def url(store_url: str) -> str:
    return store_url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await Store.open(url)
    yield opened
    await opened.close()


@pytest.fixture
async def other(url: str, store: Store) -> AsyncIterator[Store]:
    """The same store, as another process has it open."""
    opened = await Store.open(url)
    yield opened
    await opened.close()


def message(at: int = DAY, **changes: object) -> Message:
    made = Message(
        id=new_id(at),
        accepted_at=at,
        source="news@example.com",
        recipients=("someone@gmail.com",),
        identity=Identity("identity-id", "example.com"),
        configuration_set="news",
        source_ip="192.0.2.7",
        headers=(("From", "News <news@example.com>"), ("Subject", "=?utf-8?q?Hi?=")),
        tags={"campaign": ["summer", "late"]},
        links=(Link(0, "https://example.com/a?b=c#d", (("k", "v"), ("k", "v2")), 1, 77),),
        warnings=("a tag was dropped",),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


class TestConfigurationSets:
    async def test_one_is_read_as_it_was_created(self, store: Store) -> None:
        made = ConfigurationSet(
            "news",
            engagement=True,
            redirect_domain="go.example.com",
            https_policy=HttpsPolicy.REQUIRE,
            destinations=(STREAM,),
        )
        await store.configuration.create_set(made)
        assert await store.configuration.get_set("news") == made
        assert await store.configuration.list_sets() == [made]

    async def test_names_are_unique_and_checked(self, store: Store) -> None:
        await store.configuration.create_set(ConfigurationSet("news"))
        with pytest.raises(AlreadyExists, match="'news'"):
            await store.configuration.create_set(ConfigurationSet("news"))
        with pytest.raises(InvalidInput, match="not a valid name"):
            await store.configuration.create_set(ConfigurationSet("no spaces"))

    async def test_an_unknown_one_is_named_in_the_error(self, store: Store) -> None:
        calls = (
            store.configuration.get_set("gone"),
            store.configuration.update_set("gone", engagement=True),
            store.configuration.delete_set("gone"),
            store.configuration.add_destination("gone", STREAM),
            store.configuration.remove_destination("gone", "clicks"),
            store.configuration.create_identity("example.com", "gone"),
        )
        for call in calls:
            with pytest.raises(NotFound, match="'gone'"):
                await call

    async def test_an_update_changes_only_what_is_given(self, store: Store) -> None:
        await store.configuration.create_set(ConfigurationSet("news", redirect_domain="a.example"))
        await store.configuration.update_set("news", engagement=True)
        await store.configuration.update_set("news", https_policy=HttpsPolicy.REQUIRE)
        changed = await store.configuration.get_set("news")
        assert changed == ConfigurationSet("news", True, "a.example", HttpsPolicy.REQUIRE)
        await store.configuration.update_set("news", redirect_domain=None)
        assert (await store.configuration.get_set("news")).redirect_domain is None

    async def test_a_change_by_another_process_is_seen_at_once(
        self, store: Store, other: Store
    ) -> None:
        assert await store.configuration.list_sets() == []
        await other.configuration.create_set(ConfigurationSet("news"))
        assert not (await store.configuration.get_set("news")).click_tracking
        await other.configuration.add_destination("news", STREAM)
        assert (await store.configuration.get_set("news")).click_tracking

    @pytest.mark.parametrize(
        ("column", "harm", "named"),
        [
            (configuration_sets.c.rules, '{"app', "configuration set 'news'"),
            (configuration_sets.c.https_policy, "LATER", "configuration set 'news'"),
            (configuration_sets.c.options, "{", "configuration set 'news'"),
            (event_destinations.c.types, "CLICK,LATER", "event destination 'clicks' of 'news'"),
            (identities.c.senders, "x@private.example", "identity 'example.com'"),
            (account_options.c.options, "", "option 'Suppression' of the account"),
        ],
    )
    async def test_what_cannot_be_read_is_named(
        self, store: Store, other: Store, column: Column[str], harm: str, named: str
    ) -> None:
        await store.configuration.create_set(ConfigurationSet("news", destinations=(STREAM,)))
        await store.configuration.create_identity("example.com", "news")
        await store.configuration.set_account("Suppression", '{"a":1}')
        await store.configuration.current()

        def work(connection: Connection) -> None:
            connection.execute(update(column.table).values({column.name: harm}))
            bump(connection)

        await other.configuration._database.write(work)
        with pytest.raises(StoreUnavailable, match=f"the {named} cannot be read") as caught:
            await store.configuration.current()
        assert "private" not in str(caught.value)

    async def test_deleting_one_frees_its_identities_and_its_name(self, store: Store) -> None:
        await store.configuration.create_set(ConfigurationSet("news", destinations=(STREAM,)))
        await store.configuration.create_identity("example.com", "news")
        await store.configuration.delete_set("news")
        assert (await store.configuration.get_identity("example.com")).configuration_set is None
        await store.configuration.create_set(ConfigurationSet("news"))
        assert (await store.configuration.get_set("news")).destinations == ()


class TestEventDestinations:
    async def test_they_keep_the_order_in_which_they_were_added(self, store: Store) -> None:
        await store.configuration.create_set(ConfigurationSet("news"))
        names = ["zebra", "ape", "monkey"]
        for name in names:
            await store.configuration.add_destination("news", replace(STREAM, name=name))
        found = await store.configuration.get_set("news")
        assert [d.name for d in found.destinations] == names

    async def test_one_is_replaced_and_removed(self, store: Store) -> None:
        await store.configuration.create_set(ConfigurationSet("news", destinations=(STREAM,)))
        changed = EventDestination(
            "clicks",
            "arn:clicktrail:webhook:::https://example.com/hook",
            frozenset({EventType.SEND, EventType.CLICK}),
            enabled=False,
        )
        await store.configuration.update_destination("news", changed)
        assert (await store.configuration.get_set("news")).destinations == (changed,)
        await store.configuration.remove_destination("news", "clicks")
        assert (await store.configuration.get_set("news")).destinations == ()
        with pytest.raises(NotFound, match="'clicks'"):
            await store.configuration.update_destination("news", changed)

    async def test_a_name_is_used_once_in_a_set(self, store: Store) -> None:
        await store.configuration.create_set(ConfigurationSet("news", destinations=(STREAM,)))
        with pytest.raises(AlreadyExists, match="'clicks'"):
            await store.configuration.add_destination("news", STREAM)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"arn": "arn:clicktrail:kafka:::broker:9092"}, "expected arn:clicktrail:kafka"),
            ({"arn": "somewhere"}, "expected arn:clicktrail:stream"),
            ({"types": frozenset()}, "at least one event type"),
            ({"name": ""}, "not a valid name"),
        ],
    )
    async def test_one_that_cannot_be_used_is_refused(
        self, store: Store, change: dict[str, object], expected: str
    ) -> None:
        await store.configuration.create_set(ConfigurationSet("news", destinations=(STREAM,)))
        bad = replace(STREAM, name="bad", **{}) if "name" not in change else STREAM
        bad = replace(bad, **change)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match=expected):
            await store.configuration.add_destination("news", bad)
        with pytest.raises(InvalidInput, match=expected):
            await store.configuration.update_destination("news", bad)


class TestIdentities:
    async def test_mailboxes_that_send_are_read_as_they_were_given(self, store: Store) -> None:
        await store.configuration.create_identity("example.com")
        for given, kept in ((["Shop", "news@EXAMPLE.com", "shop"], ("news", "shop")), ([], ())):
            changed = await store.configuration.restrict_identity("Example.com", given)
            assert changed == await store.configuration.get_identity("example.com")
            assert changed.senders == kept
        names = map(str, range(1001))
        with pytest.raises(InvalidInput, match="at most"):
            await store.configuration.restrict_identity("example.com", names)

    async def test_the_most_specific_one_sends_for_an_address(self, store: Store) -> None:
        for name in ("example.com", "mail.example.com", "News@mail.example.com"):
            await store.configuration.create_identity(name)

        async def name_for(address: str) -> str | None:
            found = await store.configuration.identity_for(address)
            return found.name if found else None

        assert await name_for("News@MAIL.example.com") == "News@mail.example.com"
        assert await name_for("news@mail.example.com") == "mail.example.com"
        assert await name_for("a@deep.mail.example.com") == "mail.example.com"
        assert await name_for("a@Example.COM") == "example.com"
        assert await name_for("a@notexample.com") is None
        assert await name_for("a@com") is None
        assert await name_for("") is None
        assert await name_for("example.com") is None

    async def test_a_unicode_domain_and_its_ascii_form_are_one(self, store: Store) -> None:
        made = await store.configuration.create_identity("пример.рф")
        assert await store.configuration.identity_for("a@xn--e1afmkfd.xn--p1ai") == made
        with pytest.raises(AlreadyExists):
            await store.configuration.create_identity("xn--e1afmkfd.xn--p1ai")

    async def test_one_is_bound_unbound_and_deleted(self, store: Store) -> None:
        await store.configuration.create_set(ConfigurationSet("news"))
        made = await store.configuration.create_identity("example.com")
        await store.configuration.bind_identity("EXAMPLE.com", "news")
        assert await store.configuration.get_identity("example.com") == replace(
            made, configuration_set="news"
        )
        await store.configuration.bind_identity("example.com", None)
        assert await store.configuration.list_identities() == [made]
        await store.configuration.delete_identity("example.com")
        with pytest.raises(NotFound):
            await store.configuration.get_identity("example.com")

    @pytest.mark.parametrize("name", ["", "a b.com", "@example.com", "a@", "a@b..c", "<a@b.c>"])
    async def test_what_is_no_domain_or_address_is_refused(self, store: Store, name: str) -> None:
        with pytest.raises(InvalidInput, match="is not an identity"):
            await store.configuration.create_identity(name)


class TestUsers:
    async def test_only_the_password_that_was_shown_fits(self, store: Store, other: Store) -> None:
        password = await store.users.create("shop")
        for _ in range(2):  # the second time from memory
            assert await other.users.verify("shop", password)
            assert not await other.users.verify("shop", password + "x")
            assert not await other.users.verify("shop", "")
            assert not await other.users.verify("nobody", password)
            assert not await other.users.verify("\udcff", password)
        assert await store.users.list() == ["shop"]

    async def test_a_name_has_another_mark_when_who_signed_in_may_do_so_no_more(
        self, store: Store, other: Store
    ) -> None:
        users, keys = store.users, store.access_keys
        assert await users.mark("shop") == await users.mark("\udcff") == b""
        await users.create("shop")
        first = await users.mark("shop")
        assert first == await other.users.mark("shop") != b""
        await users.delete("shop")
        assert await users.mark("shop") == b""
        await users.create("shop")
        assert await users.mark("shop") not in (first, b"")
        key_id, _ = await keys.create(Vault(bytes(64)), ["send"])
        assert await users.mark(key_id) == await other.users.mark(key_id) != b""
        await keys.disable(key_id)
        assert await users.mark(key_id) == b""

    async def test_a_deleted_user_is_refused_at_once_everywhere(
        self, store: Store, other: Store
    ) -> None:
        password = await store.users.create("shop")
        assert await other.users.verify("shop", password)
        await store.users.delete("shop")
        assert not await other.users.verify("shop", password)
        second = await store.users.create("shop")
        assert not await other.users.verify("shop", password)
        assert await other.users.verify("shop", second)

    async def test_names_are_unique_and_checked(self, store: Store) -> None:
        await store.users.create("shop")
        with pytest.raises(AlreadyExists):
            await store.users.create("shop")
        with pytest.raises(InvalidInput):
            await store.users.create("")
        with pytest.raises(NotFound):
            await store.users.delete("nobody")


class TestSessions:
    async def test_only_sessions_that_have_not_ended_are_signed_in(self, store: Store) -> None:
        accounts = store.accounts
        link = await accounts.create("maria", Role.VIEWER)
        first = await accounts.set_password(link, PASSWORD)
        second = await accounts.sign_in("maria", PASSWORD)
        assert second
        strangers = {f"nobody's {n}" for n in range(1200)} | {"", "\0", "\ud800"}
        assert await accounts.signed_in([first, second, *strangers]) == {first, second}
        assert await accounts.signed_in([]) == set()
        await accounts.sign_out(first)
        assert await accounts.signed_in([first, second]) == {second}
        other = await accounts.set_password(await accounts.new_link("maria"), PASSWORD)
        assert await accounts.signed_in([first, second, other]) == {other}

    async def test_the_old_password_leaves_no_session_behind(self, store: Store) -> None:
        """Whoever tries it while another one is set has read the old one, and waits for a turn."""
        accounts = store.accounts
        await accounts.set_password(await accounts.create("maria", Role.VIEWER), PASSWORD)
        link = await accounts.new_link("maria")
        before = [accounts.sign_in("maria", PASSWORD) for _ in range(3)]
        after = [accounts.sign_in("maria", PASSWORD) for _ in range(5)]
        found = await asyncio.gather(*before, accounts.set_password(link, PASSWORD[::-1]), *after)
        kept = await accounts.signed_in([token for token in found if token])
        assert kept == {found[len(before)]}

    async def test_an_account_that_goes_while_somebody_signs_in_is_none(self, store: Store) -> None:
        accounts = store.accounts
        for name, role in (("admin", Role.ADMINISTRATOR), ("maria", Role.VIEWER)):
            await accounts.set_password(await accounts.create(name, role), PASSWORD)
        asked = [asyncio.create_task(accounts.sign_in("maria", PASSWORD)) for _ in range(6)]
        await asyncio.sleep(0)
        await accounts.delete("maria")
        found = await asyncio.gather(*asked)
        assert await accounts.signed_in([token for token in found if token]) == set()


class TestMessages:
    async def test_one_is_read_as_it_was_added(self, store: Store, other: Store) -> None:
        plain = message(
            id=new_id(), identity=None, configuration_set=None, links=(), reason=Reason.OFF,
            source="", source_ip=None, headers=(), tags={}, recipients=("a@b.c", "d@e.f"),
        )  # fmt: skip
        tracked = message()
        await asyncio.gather(store.messages.add(plain), store.messages.add(tracked))
        assert await other.messages.get(plain.id) == plain
        assert await other.messages.get_many([tracked.id, "unknown", plain.id]) == {
            tracked.id: tracked,
            plain.id: plain,
        }
        with pytest.raises(NotFound, match="'unknown'"):
            await other.messages.get("unknown")

    async def test_bytes_that_are_no_text_do_not_stop_it(self, store: Store) -> None:
        odd = message(
            headers=(("X-Raw", "\udcd0\udc96 \udcff"),), recipients=("\udcff@b.c",), source="\ud800"
        )
        await store.messages.add(odd)
        found = await store.messages.get(odd.id)
        assert found.headers == (("X-Raw", "Ж \ufffd"),)
        assert found.recipients == ("\ufffd@b.c",)

    async def test_finishing_sets_state_and_recipients_once(self, store: Store) -> None:
        made = message(recipients=("a@gmail.com", "b@ya.ru", "c@x.org"))
        await store.messages.add(made)
        taken = ("a@gmail.com", "b@ya.ru")
        for state in (MessageState.SENT, MessageState.SENT, MessageState.REFUSED):
            await store.messages.finish(made.id, state, taken, DAY)
        found = await store.messages.get(made.id)
        assert found == replace(made, state=MessageState.SENT, recipients=taken)
        [day] = await store.statistics.daily()
        assert (day.day, day.sent, day.clicks) == ("2026-09-21", 2, 0)

    async def test_how_one_ended_is_kept_where_another_cannot_be(self, store: Store) -> None:
        made, another = message(), message()
        await store.messages.add(made)
        refused, kept, finished = await asyncio.gather(
            store.messages.add(made),  # its id is there already
            store.messages.add(another),
            store.messages.finish(made.id, MessageState.SENT, made.recipients, DAY),
            return_exceptions=True,
        )
        assert isinstance(refused, StoreUnavailable)
        assert isinstance(kept, StoreUnavailable)  # it came in with the one before
        assert finished is None
        assert (await store.messages.get(made.id)).state is MessageState.SENT
        assert await store.messages.get_many([another.id]) == {}

    async def test_how_one_ended_is_kept_where_another_cannot_be_packed(self, store: Store) -> None:
        made, odd = message(), message(tags={"campaign": object()})
        await store.messages.add(made)
        refused, finished = await asyncio.gather(
            store.messages.add(odd),
            store.messages.finish(made.id, MessageState.SENT, made.recipients, DAY),
            return_exceptions=True,
        )
        assert isinstance(refused, TypeError)
        assert finished is None
        assert (await store.messages.get(made.id)).state is MessageState.SENT

    async def test_one_is_kept_where_how_another_ended_cannot_be(self, store: Store) -> None:
        made, another = message(), message()
        await store.messages.add(made)
        await store._database.write(unindexed.drop)
        added, failed = await asyncio.gather(
            store.messages.add(another),
            store.messages.finish(made.id, MessageState.SENT, made.recipients, DAY),
            return_exceptions=True,
        )
        assert added is None
        assert isinstance(failed, StoreUnavailable)
        assert (await store.messages.get(another.id)).id == another.id

    async def test_only_sent_emails_are_counted(self, store: Store) -> None:
        made = message()
        await store.messages.add(made)
        await store.messages.finish(made.id, MessageState.REFUSED, (), DAY)
        assert (await store.messages.get(made.id)).state is MessageState.REFUSED
        assert await store.statistics.daily() == []

    async def test_sent_is_counted_by_day_set_identity_and_provider(self, store: Store) -> None:
        async def send(at: int, recipient: str, **changes: object) -> None:
            made = message(at, recipients=(recipient,), **changes)
            await store.messages.add(made)
            await store.messages.finish(made.id, MessageState.SENT, (recipient,), at)

        later = DAY + 86_400_000_000
        await asyncio.gather(
            send(DAY, "a@gmail.com"),
            send(DAY, "b@googlemail.com"),
            send(DAY, "c@ya.ru", configuration_set="other"),
            send(later, "d@x.org", identity=None, configuration_set=None),
        )
        read = store.statistics.daily
        assert [(d.day, d.sent) for d in await read()] == [("2026-09-21", 3), ("2026-09-22", 1)]
        assert [d.sent for d in await read(Where(configuration_set="news"))] == [2]
        assert [d.sent for d in await read(Where(identity="example.com"))] == [3]
        assert [d.sent for d in await read(Where(provider="Google"))] == [2]
        assert [d.sent for d in await read(Where(provider="Other"))] == [1]
        assert [d.sent for d in await read(Where(since="2026-09-22"))] == [1]
        assert [d.sent for d in await read(Where(until="2026-09-21"))] == [3]
        assert [d.sent for d in await read(Where(configuration_set=""))] == [1]

    async def test_forgotten_contents_leave_what_counting_needs(self, store: Store) -> None:
        old, new = message(DAY), message(DAY + 3_600_000_000)
        for each in (old, new):
            await store.messages.add(each)
        assert await store.messages.forget(DAY + 1_800_000_000) == 1
        assert list(await store.messages.get_many([old.id, new.id])) == [new.id]
        origin = (await store.messages.origins([old.id, "unknown"]))[old.id]
        assert (origin.configuration_set, origin.identity) == ("news", "example.com")
        assert origin.provider == "Google"

    async def test_what_was_added_is_there_after_a_restart(self, url: str) -> None:
        first = await Store.open(url)
        made = message(now_us())
        await first.messages.add(made)
        await first.close()
        second = await Store.open(url)
        assert await second.messages.get(made.id) == made
        await second.close()


class TestStreams:
    @pytest.fixture
    async def filled(self, store: Store) -> Store:
        def event(stream: str, number: int) -> NewStreamEvent:
            return NewStreamEvent(
                stream, f"{stream}-{number}:0", b'{"n":%d}' % number, DAY + number
            )

        await store.streams.append([event("a", 1), event("b", 2)])
        await store.streams.append([event("a", 3), event("a", 4)])
        return store

    async def test_they_are_read_in_order_and_in_pages(self, filled: Store, other: Store) -> None:
        first = await other.streams.read("a", 0, 2)
        assert [e.event_id for e in first] == ["a-1:0", "a-3:0"]
        assert [(e.stream, e.payload, e.at) for e in first[:1]] == [("a", b'{"n":1}', DAY + 1)]
        rest = await other.streams.read("a", first[-1].position, 2)
        assert [e.event_id for e in rest] == ["a-4:0"]
        assert await other.streams.read("a", rest[-1].position, 2) == []
        assert await other.streams.read("none", 0, 2) == []

    async def test_all_of_them_can_be_read_as_one(self, filled: Store) -> None:
        events = await filled.streams.read(None, 0, 10)
        assert [e.event_id for e in events] == ["a-1:0", "b-2:0", "a-3:0", "a-4:0"]
        positions = [e.position for e in events]
        assert positions == sorted(set(positions))

    async def test_their_names_and_ends_are_known(self, store: Store, filled: Store) -> None:
        assert await filled.streams.names() == ["a", "b"]
        [*_, newest] = await filled.streams.read("b", 0, 10)
        assert await filled.streams.last("b") == newest.position
        assert await filled.streams.last() > newest.position
        assert await filled.streams.last("none") == 0

    @pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (2, 2), (3, 3), (9, 3)])
    async def test_one_can_begin_at_the_last_few(
        self, filled: Store, count: int, expected: int
    ) -> None:
        after = await filled.streams.back_from_end("a", count)
        assert len(await filled.streams.read("a", after, 10)) == expected

    async def test_forgotten_events_leave_positions_that_are_never_used_again(
        self, filled: Store
    ) -> None:
        last = await filled.streams.last()
        assert await filled.streams.forget(DAY + 3) == 2
        assert [e.event_id for e in await filled.streams.read(None, 0, 10)] == ["a-3:0", "a-4:0"]
        assert await filled.streams.forget(DAY + 100) == 2
        assert await filled.streams.names() == []
        await filled.streams.append([NewStreamEvent("a", "id:0", b"{}", DAY)])
        [event] = await filled.streams.read("a", last, 10)
        assert event.position > last
