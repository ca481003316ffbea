"""App links: each domain's own files, and no other file of the machine."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clicktrail.doors.forwarded import Visitors
from clicktrail.redirect.applinks import SIZE_LIMIT, AppLinks
from clicktrail.redirect.domains import DomainPages, OwnDomains
from support.redirecting import RING, House, house_in, request, statuses

APPLE = "/.well-known/apple-app-site-association"
ANDROID = "/.well-known/assetlinks.json"
ASSOCIATION = json.dumps({"applinks": {"details": [{"appIDs": ["A.b"]}]}}).encode()
STATEMENTS = b'[{"relation": ["delegate_permission/common.handle_all_urls"]}]'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "app-links"
    (folder / "app.example").mkdir(parents=True)
    (folder / "app.example" / "apple-app-site-association").write_bytes(ASSOCIATION)
    (folder / "app.example" / "assetlinks.json").write_bytes(STATEMENTS)
    (folder / "other.example").mkdir()
    (folder / "other.example" / "assetlinks.json").write_bytes(b"[]")
    (folder / "apple-app-site-association").write_bytes(b"secret")
    (tmp_path / "assetlinks.json").write_bytes(b"secret")
    return folder


@pytest.fixture
async def house(tmp_path: Path, folder: Path) -> AsyncIterator[House]:
    async def none() -> list[str]:
        return []

    made = DomainPages(lambda: RING, Visitors(()), OwnDomains((), none), AppLinks(folder))
    async with house_in(tmp_path, pages=made) as house:
        yield house


async def get(house: House, path: str, host: str = "app.example") -> tuple[int, bytes]:
    answer = await house.http.get(path, headers={"Host": host})
    return answer.status_code, answer.content


async def test_each_domain_has_its_own_files(house: House) -> None:
    assert await get(house, APPLE) == (200, ASSOCIATION)
    assert await get(house, ANDROID) == (200, STATEMENTS)
    assert await get(house, ANDROID, "other.example") == (200, b"[]")
    for host in ("other.example", "third.example", "sub.app.example", "example", "localhost"):
        assert (await get(house, APPLE, host))[0] == 404


async def test_they_are_json_without_a_redirect(house: House) -> None:
    for path in (APPLE, ANDROID):
        answer = await house.http.get(path, headers={"Host": "app.example"})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert answer.headers["cache-control"] == "max-age=300"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["APP.Example", "app.example:8480", "app.example.", "App.example.:1"]
)
async def test_a_domain_is_the_same_however_it_is_written(house: House, host: str) -> None:
    assert (await get(house, APPLE, host))[0] == 200


async def test_a_name_in_another_alphabet_is_the_folder_of_its_ascii_form(
    house: House, folder: Path
) -> None:
    (folder / "xn--80a1acny.xn--p1ai").mkdir()
    (folder / "xn--80a1acny.xn--p1ai" / "assetlinks.json").write_bytes(b"[]")
    assert (await get(house, ANDROID, "xn--80a1acny.xn--p1ai"))[0] == 200


async def test_head_has_the_headers_and_no_body(house: House) -> None:
    answer = await house.http.head(APPLE, headers={"Host": "app.example"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(ASSOCIATION))


@pytest.mark.parametrize(
    "host",
    [
        "..",
        ".",
        "",
        "../app-links",
        "app.example/../app.example",
        "..%2fapp-links%2fapp.example",
        "[fe80::1%/../../app.example]",
        "fe80::1%25/../app.example",
        "/",
        "//app.example",
        "app.example\\..",
        "user@app.example",
        "app..example",
        "\xe9.example",
        "a" * 300,
    ],
)
async def test_no_host_leads_out_of_the_folder(house: House, host: str) -> None:
    for path in (APPLE, ANDROID):
        answer = await house.say(
            request(path).replace(b"Host: x", b"Host: " + host.encode("latin-1"))
        )
        assert statuses(answer) in ([404], [400])
        assert b"secret" not in answer


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/",
        "/.well-known",
        "/.well-known/apple-app-site-association/",
        "/.well-known/../assetlinks.json",
        "/.well-known/..%2f..%2fassetlinks.json",
        "/.well-known/other.json",
        "/app.example/assetlinks.json",
        "/assetlinks.json",
        "//.well-known/assetlinks.json",
    ],
)
async def test_there_are_no_other_files_and_no_listings(house: House, path: str) -> None:
    answer = await house.say(request(path).replace(b"Host: x", b"Host: app.example"))
    assert statuses(answer) == [404]
    assert b"secret" not in answer


async def test_in_absolute_form_the_target_says_which_domain(house: House) -> None:
    answer = await house.say(request(f"http://app.example{APPLE}"))
    assert statuses(answer) == [200]
    other = request(f"http://third.example{APPLE}").replace(b"Host: x", b"Host: app.example")
    assert statuses(await house.say(other)) == [404]


async def test_a_request_without_a_host_gets_none(house: House) -> None:
    answer = await house.say(f"GET {APPLE} HTTP/1.0\r\n\r\n".encode())
    assert statuses(answer) == [404]


async def test_a_query_makes_no_difference(house: House) -> None:
    assert (await get(house, ANDROID + "?x=/../.."))[0] == 200


async def test_a_changed_file_is_served_changed(house: House, folder: Path) -> None:
    file = folder / "app.example" / "assetlinks.json"
    assert await get(house, ANDROID) == (200, STATEMENTS)
    for content in (b"[1]", b"[2]", b"[333]"):
        new = file.with_name("new")
        new.write_bytes(content)
        new.rename(file)
        assert await get(house, ANDROID) == (200, content)
    file.unlink()
    assert (await get(house, ANDROID))[0] == 404
    file.write_bytes(b"[4]")
    assert await get(house, ANDROID) == (200, b"[4]")


def test_an_unchanged_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    read = Path.read_bytes

    def counting(path: Path) -> bytes:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", counting)
    links = AppLinks(folder)
    answers = {links.answer(ANDROID.encode(), b"app.example") for _ in range(50)}
    assert len(answers) == len(reads) == 1


async def test_what_is_no_file_is_not_served(house: House, folder: Path) -> None:
    for name, make in (("pipe.example", os.mkfifo), ("folder.example", os.mkdir)):
        (folder / name).mkdir()
        make(folder / name / "assetlinks.json")
        assert (await get(house, ANDROID, name))[0] == 404
    (folder / "file.example").write_bytes(b"secret")
    assert (await get(house, ANDROID, "file.example"))[0] == 404


async def test_a_huge_file_is_not_served_until_it_is_small(house: House, folder: Path) -> None:
    file = folder / "other.example" / "assetlinks.json"
    file.write_bytes(b" " * (SIZE_LIMIT + 1))
    for _ in range(2):
        assert (await get(house, ANDROID, "other.example"))[0] == 404
    file.write_bytes(b"[]")
    assert (await get(house, ANDROID, "other.example"))[0] == 200


async def test_a_folder_that_is_not_there_serves_nothing(tmp_path: Path) -> None:
    assert AppLinks(tmp_path / "missing").answer(ANDROID.encode(), b"app.example") is None
