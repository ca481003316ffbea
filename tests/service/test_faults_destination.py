"""A webhook that is down, refuses, hangs or goes away: each click is told it in the end."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.crowd import Crowd, check_books, marks_of
from support.faults import DAY, Clock, FakedClock, PythonClock
from support.hook import FAULTS, Hook
from support.service import PATIENCE, Service, wait_for

WEBHOOKS = (
    *("--webhook-allow", "127.0.0.0/8"),
    *("--webhook-timeout", "3"),
    *("--publish-retry-first", "0.2"),
    *("--publish-retry-most", "1"),
)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """The clock of the service."""
    return PythonClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Service]:
    """A service that calls webhooks on this machine, and waits little for them."""
    folder = tmp_path_factory.mktemp("impatient")
    with Service(folder, *WEBHOOKS, environment=clock.environment) as service:
        yield service


def told(service: Service, *hooks: Hook) -> str:
    """Return a new configuration set, which tells webhooks and a stream of clicks."""
    name = service.configuration_set()
    for number, hook in enumerate(hooks):
        add = ("event-destination", "add", name, f"hook-{number}", "--type", "CLICK")
        service.cli(*add, "--webhook", hook.url)
    return name


def check_calls(hook: Hook, crowd: Crowd) -> None:
    """See that each redirected click arrives, and each time with the same event id."""
    wait_for(
        lambda: crowd.redirected <= marks_of(hook.got()).keys() or None,
        "every redirected click at the webhook",
        4 * PATIENCE,  # what failed is tried again later and later
    )
    for call in hook.calls:
        assert call.event_id == call.event["eventId"]
    assert marks_of([call.event for call in hook.calls]).keys() <= crowd.tried


def test_what_webhooks_miss_they_are_told_when_they_are_well_again(impatient: Service) -> None:
    with ExitStack() as stack:
        hooks = {fault: stack.enter_context(Hook()) for fault in ("ok", *FAULTS)}
        name = told(impatient, *hooks.values())
        for fault, hook in hooks.items():
            hook.become(fault)
        with Crowd(impatient, name, people=2, rate=40) as crowd:
            crowd.wait_for(10)
        for fault in set(FAULTS) - {"down"}:
            hooks[fault].wait_for(1, fault)
        # The numbers, and the webhook that is well, do not wait for the others.
        check_books(impatient, name, crowd)
        check_calls(hooks.pop("ok"), crowd)
        for hook in hooks.values():
            assert hook.got() == []
            hook.become("ok")
        for hook in hooks.values():
            check_calls(hook, crowd)
    assert impatient.cli("events", "dead", "--json").strip() == "[]"


@pytest.mark.long
def test_killed_between_sending_and_booking_it_sends_the_same_event_again(
    impatient: Service, clock: Clock
) -> None:
    with Hook() as hanging, Hook() as down:
        name = told(impatient, hanging, down)
        hanging.become("hang")
        down.become("down")
        with Crowd(impatient, name, people=1, rate=20) as crowd:
            crowd.wait_for(3)
            hanging.wait_for(3, "hang")  # it has them, and cannot say so
            impatient.kill()
            hanging.become("ok")
            clock.set(60)  # the claims of the killed one have run out
            impatient.start()
            crowd.wait_for(1)
        check_books(impatient, name, crowd)
        check_calls(hanging, crowd)
        assert marks_of(hanging.got("hang")).keys() <= marks_of(hanging.got()).keys()
        down.become("ok")  # it was down all the while, and over the new start
        check_calls(down, crowd)


def set_back(service: Service, clock: Clock) -> None:
    """Set the clock back by more than a year while notifications wait and are on their way."""
    with Hook() as hook:
        name = told(service, hook)
        clock.set(DAY)
        with Crowd(service, name, people=4, rate=80) as crowd:
            crowd.wait_for(20)
            hook.wait_for(1)
            hook.become("500")
            hook.wait_for(10, "500")
            clock.set(-400 * DAY)
            crowd.wait_for(20)
            hook.become("ok")
            crowd.wait_for(20)
        check_books(service, name, crowd)
        check_calls(hook, crowd)
        days = {event["click"]["timestamp"][:10] for event in hook.got()}
        assert len(days) >= 2, "the clock was not set"


def test_a_clock_that_is_set_back_holds_nothing_up(impatient: Service, clock: Clock) -> None:
    set_back(impatient, clock)


@pytest.mark.long
def test_the_system_clock_set_back_holds_nothing_up(tmp_path: Path) -> None:
    clock = FakedClock(tmp_path)
    with Service(tmp_path, *WEBHOOKS, environment=clock.environment) as service:
        set_back(service, clock)
