"""URLs in settings that are broken: it is said what is wrong, and no password is."""

import itertools

import pytest

from clicktrail.errors import SettingError
from clicktrail.settings.settings import load_settings
from clicktrail.settings.table import SETTINGS

SECRET = "sw0rdfish"
HINT = "in a password, @ : / ? # are written %40 %3A %2F %3F %23"

# What each kind of URL looks like; {} is where its host and port are.
RIGHT = {
    "store.url": "postgresql://{}/db",
    "journal.url": "nats://{}",
    "smarthost.url": "smtp://{}",
    "kinesis.endpoint": "https://{}/path",
}
WITHOUT_LOGIN = ("smarthost.url", "kinesis.endpoint")

BROKEN = {
    "host:99999": "its port is not a number from 1 to 65535",
    "host:0": "its port is not a number from 1 to 65535",
    "host:-1": "its port is not a number from 1 to 65535",
    "host:": "its port is not a number from 1 to 65535",
    "host:port": "its port is not a number from 1 to 65535",
    "host:٣": "its port is not a number from 1 to 65535",
    "2001:db8::1": "[ and ] lack around IPv6",
    "[2001:db8::1": "[ and ] stand around an IPv6 address",
    "[host]:1": "no IPv6 address",
    "ho st": "white space or control characters",
    "host\x07": "white space or control characters",
    "host\n:1": "white space or control characters",
}
HOSTS = ("host", "host:1", *BROKEN)
LOGINS = {
    "": "",
    f"user:{SECRET}@": "",
    f"{SECRET}@": "",
    f"user:{SECRET}%40%zz@": "",
    # Characters that end it too early.
    f"user:{SECRET}/x@": HINT,
    f"user:{SECRET}?x@": HINT,
    f"user:{SECRET}#x@": HINT,
}


def refusal(name: str, url: str) -> str:
    with pytest.raises(SettingError) as refused:
        load_settings({name: url}, {})
    said = str(refused.value)
    assert SECRET not in said
    assert said.startswith(f"{name} = ")
    assert "cannot be used: expected " in said
    return said


def test_every_url_is_in_this_table() -> None:
    found = {s.name for s in SETTINGS if s.name.endswith((".url", ".endpoint"))}
    assert found == set(RIGHT)


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize(("login", "host"), list(itertools.product(LOGINS, HOSTS)))
def test_what_is_wrong_with_it_is_said(name: str, login: str, host: str) -> None:
    url = RIGHT[name].format(login + host)
    if login and name in WITHOUT_LOGIN:
        wrong = "white space" if "white space" in BROKEN.get(host, "") else "settings of their own"
        assert wrong in refusal(name, url)
    elif LOGINS[login]:
        said = refusal(name, url)
        assert LOGINS[login] in said or "white space" in said
    elif host in BROKEN:
        assert BROKEN[host] in refusal(name, url)
    else:
        assert load_settings({name: url}, {})[name] == url


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("login", ["", f"user:{SECRET}@", f"user:{SECRET}@x@"])
@pytest.mark.parametrize(
    "before",
    ["", "xyz:", "xyz://", "://", "//", "{scheme}:", "{upper}://", "/", "{scheme}:/", "{scheme}//"],
)
def test_a_url_of_another_scheme_is_refused(name: str, login: str, before: str) -> None:
    scheme, _, rest = RIGHT[name].partition("://")
    begin = before.format(scheme=scheme, upper=scheme.upper())
    said = refusal(name, begin + rest.format(login + "h"))
    assert "it does not begin with " in said
    assert f"{scheme}://" in said


@pytest.mark.parametrize("name", [each for each in RIGHT if each != "store.url"])
def test_a_url_without_a_host_is_refused(name: str) -> None:
    assert "it names no host" in refusal(name, RIGHT[name].format(""))


@pytest.mark.parametrize(
    ("name", "url", "why"),
    [
        ("store.url", f"postgresql://user:{SECRET}@host", "it names no database"),
        ("store.url", f"postgresql://user:{SECRET}@host/?sslmode=require", "it names no database"),
        ("journal.url", f"nats://user:{SECRET}@host/x", "nothing may follow host and port"),
        ("journal.url", f"nats://user:{SECRET}@host?x=y", "nothing may follow host and port"),
        ("journal.url", f"nats://u:{SECRET}@a:1,u:{SECRET}@b:1", "a login stands once"),
        ("journal.url", f"nats://u:{SECRET}@a:1,b:x", "its port is not a number"),
        ("journal.url", f"nats:/u:{SECRET}@a:1,nats://u:x@b", "it does not begin with"),
        ("store.url", f"postgres:/h/d?user=u&password={SECRET}", "it does not begin with"),
        ("smarthost.url", "smtps://host/x", "nothing may follow host and port"),
        ("smarthost.url", "maildir:", "maildir:PATH"),
        ("kinesis.endpoint", "https://host?x=y", "it may have no query"),
    ],
)
def test_what_does_not_belong_there_is_said(name: str, url: str, why: str) -> None:
    assert why in refusal(name, url)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("store.url", "postgresql:///db"),
        ("store.url", f" postgresql://user:{SECRET}@[::1]:5432/db?sslmode=verify-full "),
        ("store.url", "postgresql:///db?host=/run/postgresql"),
        ("journal.url", f"tls://user:{SECRET}@a:1, [::1]:2,c"),
        ("smarthost.url", "smtps://[2001:db8::1]:465/"),
        ("smarthost.url", "maildir:/home/me@work"),
        ("kinesis.endpoint", "http://127.0.0.1:4566"),
    ],
)
def test_a_right_one_is_taken(name: str, url: str) -> None:
    assert load_settings({name: url}, {})[name] == url.strip()
