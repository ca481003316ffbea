"""Secrets in files: each secret setting has one, wherever it is named."""

from pathlib import Path

import pytest

from clicktrail.errors import SettingError
from clicktrail.settings.secret_files import CREDENTIALS, LARGEST
from clicktrail.settings.settings import Settings, load_settings
from clicktrail.settings.table import SETTINGS

SECRETS = [setting for setting in SETTINGS if setting.secret]
NAMES = [setting.name for setting in SECRETS]
VALUES = {
    "store.url": "postgresql://me:c0rrect-horse@db/clicktrail",
    "journal.url": "nats://me:c0rrect-horse@nats:4222",
}
NEEDED = {"acme.eab_mac_key": {"acme.eab_key_id": "somebody"}}


def value_of(name: str) -> str:
    return VALUES.get(name, "c0rrect-horse_battery")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return tmp_path / "secret"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_is_read_from_the_file_that_is_named(
    name: str, ending: str, secret: Path, tmp_path: Path
) -> None:
    secret.write_bytes((value_of(name) + ending).encode())
    [setting] = [each for each in SETTINGS if each.name == f"{name}_file"]
    assert setting.environment.startswith("CLICKTRAIL_")
    assert setting.environment.endswith("_FILE")
    assert setting.flag.endswith("-file")
    toml = tmp_path / "c.toml"
    section, _, key = setting.name.partition(".")
    toml.write_text(f'[{section}]\n{key} = "{secret}"\n')
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / name).symlink_to(secret)
    (credentials / "somebody-elses").touch()
    also = NEEDED.get(name, {})
    for settings in (
        load_settings({setting.name: str(secret), **also}, {}),
        load_settings(also, {setting.environment: str(secret)}),
        load_settings(also, {}, toml),
        load_settings(also, {CREDENTIALS: str(credentials)}),
    ):
        assert settings.text(name) == value_of(name)
        assert settings.shown(name) == "(hidden)"
        assert settings.source(name) in (str(secret), str(credentials / name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"mark3d\nmark3d\n", "more than one line"),
        (b"mark3d\0", "control characters"),
        (b"mark3d\xff", "not in UTF-8"),
        (b"mark3d" * LARGEST, f"more than {LARGEST} bytes"),
    ],
)
def test_a_file_that_cannot_be_one_is_named_and_not_shown(
    name: str, content: bytes | None, why: str, secret: Path
) -> None:
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(SettingError) as refused:
        load_settings({f"{name}_file": str(secret)}, {})
    told = str(refused.value)
    assert told.startswith(f"{name}_file = {str(secret)!r} (from --")
    assert why in told
    assert "mark3d" not in told


def test_what_is_in_a_file_is_checked_as_ever(secret: Path) -> None:
    secret.write_text("mysql://mark3d@db/x")
    with pytest.raises(SettingError, match=r"store\.url = \(hidden\) \(from .*expected postgresql"):
        load_settings({"store.url_file": str(secret)}, {})


def test_the_later_wins_and_two_at_one_place_are_refused(secret: Path, tmp_path: Path) -> None:
    secret.write_text("from-file")
    toml = tmp_path / "c.toml"
    toml.write_text('[api]\ntoken = "from-toml"\n')
    named = {"CLICKTRAIL_API_TOKEN_FILE": str(secret)}
    assert load_settings({}, named, toml)["api.token"] == "from-file"
    assert load_settings({"api.token": "from-flag"}, named, toml)["api.token"] == "from-flag"
    assert load_settings({}, {"CLICKTRAIL_API_TOKEN_FILE": ""}, toml)["api.token"] == "from-toml"
    toml.write_text(f'[api]\ntoken = "from-toml"\ntoken_file = "{secret}"\n')
    with pytest.raises(SettingError, match=r"api\.token .* and api\.token_file .* both given"):
        load_settings({}, {}, toml)


def test_files_of_certificates_may_be_credentials_too(tmp_path: Path) -> None:
    for name in ("smtp.tls_certificate", "smtp.tls_key"):
        (tmp_path / name).write_text("PEM")
    settings = load_settings({}, {CREDENTIALS: str(tmp_path)})
    assert settings["smtp.tls_key"] == tmp_path / "smtp.tls_key"


@pytest.mark.parametrize("name", ["smarthost.pasword", "smtp.listen"])
def test_a_credential_that_is_no_secret_of_ours_is_refused_by_name(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).touch()
    with pytest.raises(SettingError, match=f"the credential {name} .*settings` shows all"):
        load_settings({}, {CREDENTIALS: str(tmp_path)})
    with pytest.raises(SettingError, match=f"{CREDENTIALS}.* cannot be read: No such file"):
        load_settings({}, {CREDENTIALS: str(tmp_path / "nowhere")})


def test_without_files_nothing_changes() -> None:
    assert Settings()["smarthost.password"] == ""
    assert Settings()["smarthost.password_file"] is None
