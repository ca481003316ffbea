"""Each setting that names a file: one that cannot be used is told at the start with its setting."""

from collections.abc import Callable
from pathlib import Path

import nkeys  # type: ignore[import-untyped]
import pytest

from clicktrail.service.checks import check_credentials
from clicktrail.settings.kinds import FILE
from clicktrail.settings.settings import Settings
from clicktrail.settings.table import SETTINGS
from service.test_starts import refused
from support.certificates import make_certificate
from support.service import Service

FOLDERS = ("redirect.app_links", "redirect.pages")
NAMES = [setting.name for setting in SETTINGS if setting.kind is FILE]


def missing(path: Path) -> None:
    """Have nothing there."""


def unreadable(path: Path) -> None:
    path.symlink_to(path)  # which not even root can read (ELOOP)


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.touch()


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 100)


def words(path: Path) -> None:
    path.write_text("these are other words\n")


def options(path: Path) -> None:
    path.write_text("ssl.certificate.locatoin = /etc/clicktrail/kafka.pem\n")


CASES = [
    (name, wrong)
    for name in NAMES
    for wrong in (missing, unreadable, folder, empty, garbage, words, options)
    # A list may be empty; a folder is what it is to be.
    if not (wrong is empty and name in ("machine.networks_file", "kafka.options_file"))
    if not (wrong is folder and name in FOLDERS)
    if not (wrong is options and name != "kafka.options_file")
]


@pytest.mark.parametrize(
    ("name", "wrong"), CASES, ids=[f"{name}-{wrong.__name__}" for name, wrong in CASES]
)
def test_a_file_that_cannot_be_used_is_told_with_its_setting(
    tmp_path: Path, name: str, wrong: Callable[[Path], None]
) -> None:
    chain, key = make_certificate(tmp_path)
    given = {"tracking.host": "t.example"}
    if name.startswith("redirect.tls"):
        given["redirect.tls_listen"] = "127.0.0.1:0"
    if name.endswith(("tls_certificate", "tls_key")):
        door = name.partition(".")[0]
        given |= {f"{door}.tls_certificate": str(chain), f"{door}.tls_key": str(key)}
    path = tmp_path / "wrong"
    wrong(path)
    given[name] = str(path)
    flags = [word for each in given for word in (flag_of(each), given[each])]
    said = refused(Service(tmp_path / "service", *flags))
    assert len(said.splitlines()) == 1, said
    assert said.startswith(f"clicktrail: {name}"), said
    assert str(path) in said


def flag_of(name: str) -> str:
    return next(setting.flag for setting in SETTINGS if setting.name == name)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_credentials_as_nats_writes_them_are_taken(tmp_path: Path, end: str) -> None:
    seed = nkeys.encode_seed(bytes(32), nkeys.PREFIX_BYTE_USER).decode()
    lines = [
        "-----BEGIN NATS USER JWT-----",
        "eyJ0eXAiOiJKV1QifQ.eyJqdGkiOiJ4In0.c2lnbmF0dXJl-_",
        "------END NATS USER JWT------",
        "",
        "************************* IMPORTANT *************************",
        "NKEY Seed printed below can be used to sign and prove identity.",
        "",
        "-----BEGIN USER NKEY SEED-----",
        seed,
        "------END USER NKEY SEED------",
    ]
    path = tmp_path / "user.creds"
    path.write_text(end.join([*lines, ""]), newline="")
    settings = Settings({"nats.credentials_file": (str(path), "x")})
    check_credentials(settings, "nats.credentials_file")
