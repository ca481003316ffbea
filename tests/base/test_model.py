"""Values: when tracking is on, who subscribes, which provider a recipient has."""

import pytest

from clicktrail.errors import InvalidInput
from clicktrail.model import (
    ConfigurationSet,
    EventDestination,
    EventType,
    check_name,
    domain_of,
    provider_of,
)

CLICKS = EventDestination("d", "arn:clicktrail:stream:::s", frozenset({EventType.CLICK}))
SENDS = EventDestination("e", "arn:clicktrail:stream:::s", frozenset({EventType.SEND}))
OFF = EventDestination("f", "arn:clicktrail:stream:::s", frozenset({EventType.CLICK}), False)


@pytest.mark.parametrize(
    ("configuration_set", "on"),
    [
        (ConfigurationSet("a"), False),
        (ConfigurationSet("a", engagement=True), True),
        (ConfigurationSet("a", destinations=(CLICKS,)), True),
        (ConfigurationSet("a", destinations=(SENDS,)), False),
        (ConfigurationSet("a", destinations=(OFF,)), False),
        (ConfigurationSet("a", destinations=(OFF, SENDS), engagement=True), True),
    ],
)
def test_click_tracking_is_on_by_a_click_destination_or_engagement(
    configuration_set: ConfigurationSet, on: bool
) -> None:
    assert configuration_set.click_tracking is on


def test_only_enabled_destinations_of_the_type_subscribe() -> None:
    configuration_set = ConfigurationSet("a", destinations=(CLICKS, SENDS, OFF))
    assert configuration_set.subscribers(EventType.CLICK) == (CLICKS,)
    assert configuration_set.subscribers(EventType.SEND) == (SENDS,)


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("a@yandex.kz", "Yandex"),
        ("A@GMail.COM", "Google"),
        ("a@googlemail.com.", "Google"),
        ("a@bk.ru", "Mail.Ru Group"),
        ("a@windowslive.com", "Microsoft"),
        ("a@mail.yandex.ru", "Other"),
        ("a", "Other"),
        ('"a@b"@live.com', "Microsoft"),
    ],
)
def test_providers_of_recipients(address: str, provider: str) -> None:
    assert provider_of(address) == provider


def test_domains_of_addresses() -> None:
    assert domain_of("a@Example.COM") == "example.com"
    assert domain_of("<a@example.com>") == "example.com"
    assert domain_of("postmaster") == ""


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 65, "a/b", "a\n"])
def test_names_that_ses_would_refuse_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="configuration set name"):
        check_name(name, "configuration set name")
    assert check_name("news_1-A", "configuration set name") == "news_1-A"
