"""Settings: file, environment, flags; a wrong one is refused by name, value and expectation."""

import re
from pathlib import Path

import pytest

from clicktrail.base.hostname import tracking_host
from clicktrail.errors import InvalidInput, SettingError
from clicktrail.model import HttpsPolicy
from clicktrail.settings.kinds import Address
from clicktrail.settings.settings import Settings, load_settings
from clicktrail.settings.table import SETTINGS
from clicktrail.settings.tracking import check_links


def test_defaults_are_all_usable() -> None:
    settings = Settings()
    assert settings["smtp.listen"] == Address("127.0.0.1", 2525)
    assert settings.source("smtp.listen") == "default"
    assert settings.data == Path("clicktrail-data")
    assert settings.hostname


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        'data = "from-file"\n[smtp]\nlisten = "127.0.0.1:1"\nmax_size = 2000\n'
        '[webhook]\nallow = ["10.0.0.0/8", "::1/128"]\n'
    )
    settings = load_settings(
        {"smtp.listen": "127.0.0.1:3"},
        {"CLICKTRAIL_SMTP_LISTEN": "127.0.0.1:2", "CLICKTRAIL_SMTP_MAX_SIZE": "3000"},
        file,
    )
    assert settings["smtp.listen"].port == 3
    assert settings.source("smtp.listen") == "--smtp-listen"
    assert settings["smtp.max_size"] == 3000
    assert settings.source("smtp.max_size") == "CLICKTRAIL_SMTP_MAX_SIZE"
    assert settings.data == Path("from-file")
    assert [str(network) for network in settings["webhook.allow"]] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("smtp.listen", "2525", "host:port"),
        ("smtp.listen", "127.0.0.1:99999", "host:port"),
        ("smtp.listen", "2001:db8::1", "for IPv6 [address]:port"),
        ("redirect.listen", "::1", "host:port"),
        ("redirect.listen", ":::80", "host:port"),
        ("redirect.listen", "[::1:80", "host:port"),
        ("redirect.listen", "[127.0.0.1]:80", "host:port"),
        ("smtp.max_size", "big", "a whole number from 1024"),
        ("smtp.max_size", "12", "a whole number from 1024"),
        ("smarthost.url", "mail.example.com", "smtp://host:port"),
        ("smarthost.timeout", "nan", "seconds"),
        ("redirect.trusted_proxies", "10.0.0.1/8", "networks"),
        ("tracking.scheme", "ftp", "one of: link, http, https"),
        ("tracking.host", "http://x/", "a host name"),
        ("privacy.ip", "half", "one of: full, truncate, none"),
        ("privacy.user_agent", "truncate", "one of: full, family, none"),
        ("retention.clicks", "-1", "days"),
        ("retention.clicks", "60d", "days"),
        ("retention.events", "36501", "days"),
        ("smtp.tls_certificate", "/nowhere.pem", ""),
        ("nats.servers", "one:port", "servers (host:port)"),
        ("nats.servers", "one:4222,two:99999", "servers (host:port)"),
        ("kafka.servers", ":9092", "servers (host:port)"),
        ("kafka.servers", "2001:db8::1", "servers (host:port)"),
    ],
)
def test_a_wrong_value_is_refused_with_name_value_and_what_is_expected(
    name: str, text: str, expected: str
) -> None:
    with pytest.raises(SettingError) as refused:
        Settings({name: (text, "clicktrail.toml")})
    message = str(refused.value)
    assert name in message
    assert expected in message
    if expected:
        assert repr(text) in message
        assert "clicktrail.toml" in message


@pytest.mark.parametrize(("text", "days"), [("60", 60), ("0", 0), ("off", 0), ("36500", 36500)])
def test_what_is_kept_for_ever_is_0_or_off(text: str, days: int) -> None:
    for name in ("retention.messages", "retention.clicks", "retention.events"):
        assert Settings()[name] == 60
        assert Settings({name: (text, "clicktrail.toml")})[name] == days


def test_a_secret_is_not_shown() -> None:
    secrets = [setting.name for setting in SETTINGS if setting.secret]
    assert {"smarthost.password", "api.token", "webhook.secret"} <= set(secrets)


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[smtp]\nlisen = 'x'\n")
    with pytest.raises(SettingError, match=r"smtp\.lisen"):
        load_settings({}, {}, file)


@pytest.mark.parametrize("text", ["a = ", "a = 2026-01-01", "\udcff"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingError, match=r"c\.toml"):
        load_settings({}, {}, file)
    with pytest.raises(SettingError, match="none"):
        load_settings({}, {}, tmp_path / "none.toml")


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(SettingError, match=r"smarthost\.password"):
        Settings({"smarthost.username": ("me", "x")})


def given(**texts: str) -> Settings:
    return Settings({name.replace("_", ".", 1): (text, "x") for name, text in texts.items()})


def links(settings: Settings, policy: HttpsPolicy = HttpsPolicy.OPTIONAL) -> tuple[str, str]:
    """Return what tracking links of an http and an https link begin with."""
    hosts = settings.tracking_hosts
    return hosts.prefix("http://a.example", policy), hosts.prefix("https://a.example", policy)


HTTPS = {
    "redirect_tls_listen": "0.0.0.0:8443",
    "redirect_tls_certificate": __file__,
    "redirect_tls_key": __file__,
}


@pytest.mark.parametrize(
    ("texts", "plain", "secure", "required"),
    [
        ({}, "http://127.0.0.1:8480/c/", "http://127.0.0.1:8480/c/", ""),
        ({"tracking_host": "T.example"}, "http://t.example/c/", "http://t.example/c/", ""),
        ({"tracking_without_https": "untracked"}, "http://127.0.0.1:8480/c/", "", ""),
        (
            {"tracking_host": "t.example", "tracking_without_https": "trust"},
            "http://t.example/c/",
            "https://t.example/c/",
            "https://t.example/c/",
        ),
        (
            {"tracking_host": "t.example", "tracking_https_host": "s.example"},
            "http://t.example/c/",
            "https://s.example/c/",
            "https://s.example/c/",
        ),
        (
            {"tracking_host": "t.example", **HTTPS},
            "http://t.example/c/",
            "https://t.example/c/",
            "https://t.example/c/",
        ),
        (
            {"tracking_host": "t.example:8080", **HTTPS},
            "http://t.example:8080/c/",
            "https://t.example:8443/c/",
            "https://t.example:8443/c/",
        ),
        (
            {"tracking_host": "клик.рф", "tracking_scheme": "http"},
            "http://xn--h1adbc.xn--p1ai/c/",
            "http://xn--h1adbc.xn--p1ai/c/",
            "",
        ),
    ],
)
def test_https_links_point_to_where_https_is_served(
    texts: dict[str, str], plain: str, secure: str, required: str
) -> None:
    settings = given(**texts)
    assert links(settings) == (plain, secure)
    assert links(settings, HttpsPolicy.REQUIRE) == (required, required)
    hosts = settings.tracking_hosts.at("own.example")
    own = hosts.prefix("https://a.example", HttpsPolicy.REQUIRE)
    assert own == ("https://own.example/c/" if required else "")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"redirect_listen": "0.0.0.0:80"}, "0.0.0.0:80"),
        ({"redirect_listen": "[::]:80"}, "where nobody can go"),
        ({"redirect_listen": "127.0.0.1:0"}, "where nobody can go"),
        (HTTPS, "0.0.0.0:8443"),
        ({"tracking_scheme": "https"}, "nobody is known to serve https"),
    ],
)
def test_links_that_lead_nowhere_are_refused(texts: dict[str, str], expected: str) -> None:
    with pytest.raises(SettingError, match=expected):
        check_links(given(**texts))
    check_links(given(tracking_host="t.example", tracking_https_host="t.example", **texts))


@pytest.mark.parametrize(
    "text",
    ["http://t.example", "a@t.example", "*.t.example", "t..example", "-x-.com", "0.0.0.0", "::"],
)
@pytest.mark.parametrize("name", ["tracking.host", "tracking.https_host"])
def test_a_tracking_host_is_checked_as_any_other(name: str, text: str) -> None:
    with pytest.raises(InvalidInput) as said:
        tracking_host(text)
    with pytest.raises(SettingError, match=re.escape(str(said.value))):
        Settings({name: (text, "x")})


def test_flags_and_environment_names() -> None:
    table = {setting.name: setting for setting in SETTINGS}
    assert table["smarthost.url"].flag == "--smarthost"
    assert table["smtp.tls_key"].flag == "--smtp-tls-key"
    assert table["smtp.tls_key"].environment == "CLICKTRAIL_SMTP_TLS_KEY"


@pytest.mark.parametrize("name", ["kinesis.secret_access_key", "kafka.password", "nats.token"])
def test_secrets_of_data_streams_are_not_shown(name: str) -> None:
    [setting] = [each for each in SETTINGS if each.name == name]
    assert setting.secret


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ("kinesis.access_key_id", "kinesis.secret_access_key"),
        ("kafka.username", "kafka.password"),
        ("nats.username", "nats.password"),
    ],
)
def test_who_signs_in_to_a_data_stream_needs_the_secret_too(given: str, needed: str) -> None:
    with pytest.raises(SettingError, match=rf"{given} is set .*, so {needed} is needed too"):
        load_settings({given: "somebody"}, {})


@pytest.mark.parametrize("name", ["kafka.tls_ca", "kafka.options_file", "nats.credentials_file"])
def test_files_of_data_streams_must_be_there_from_the_start(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name} = '/nowhere' .*expected a file"):
        load_settings({name: "/nowhere"}, {})


@pytest.mark.parametrize("hosts", [":1", "one:port", "one:1,two:0", "one:99999", "::1"])
def test_a_journal_that_cannot_be_there_is_refused_without_its_password(hosts: str) -> None:
    for login in ("", "user:swordfish@"):
        with pytest.raises(SettingError, match=r"journal.url = \(hidden\) .*expected") as refused:
            load_settings({"journal.url": f"nats://{login}{hosts}"}, {})
        assert "swordfish" not in str(refused.value)
    for right in ("one:1", "one", "[::1]:4222", "one:1,two:2"):
        assert load_settings({"journal.url": f"nats://u:p@{right}"}, {})


def test_servers_of_data_streams_are_a_list() -> None:
    settings = load_settings({"kafka.servers": "one:9092, two:9092"}, {})
    assert settings["kafka.servers"] == ("one:9092", "two:9092")
    with pytest.raises(SettingError, match=r"kafka.servers = .*expected servers \(host:port\)"):
        load_settings({"kafka.servers": "kafka://one:9092"}, {})
    with pytest.raises(SettingError, match=r"kinesis.endpoint = .*expected an http:// or https://"):
        load_settings({"kinesis.endpoint": "example.com"}, {})
