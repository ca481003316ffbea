"""Commands while the service starts for the first time, and before."""

import asyncio
import threading
from pathlib import Path

import pytest

from clicktrail.errors import SettingError
from clicktrail.keys.ringfile import KeyFile
from clicktrail.service.parts.folder import data_folder, lost_store, store_url
from clicktrail.settings.settings import Settings
from clicktrail.store import Store
from support.service import Service


def test_commands_during_the_first_start_work_or_say_that_there_is_nothing_yet(
    tmp_path: Path,
) -> None:
    service = Service(tmp_path, embedded=False, anew=True)
    before = service.run("configuration-set", "create", "set0")
    assert "there is no data of Clicktrail" in before.stderr
    assert not service.data.exists()
    with service.starting():
        done = [before]
        waiting = threading.Thread(target=service.wait_until_ready)
        waiting.start()
        while waiting.is_alive() or done[-1].returncode:
            assert len(done) < 500, done[-1].stderr
            done.append(service.run("configuration-set", "create", f"set{len(done)}"))
        worked = [each.returncode == 0 for each in done]
        assert worked == sorted(worked), [each.stderr for each in done]
        assert all("there is no data" in each.stderr for each in done if each.returncode)
        shown = service.cli("configuration-set", "list")
        assert all((f"set{n} " in shown) is well for n, well in enumerate(worked))
        service.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings({"data": (str(tmp_path), "test")})


def test_a_store_that_is_being_made_is_waited_for(settings: Settings) -> None:
    KeyFile(settings.data / "keys.json").create_if_missing()
    for name in ("clicktrail.db", "journal.db"):
        (settings.data / name).touch()

    def make(_: float) -> None:
        async def open_and_close() -> None:
            await (await Store.open(store_url(settings))).close()

        asyncio.run(open_and_close())

    assert "is empty or gone" in lost_store(settings)
    assert lost_store(settings, make) == ""


def test_a_data_folder_that_is_being_made_is_waited_for(settings: Settings) -> None:
    with pytest.raises(SettingError, match="there is no data of Clicktrail"):
        data_folder(settings)
    (settings.data / "at-work").touch()
    with pytest.raises(SettingError, match="there is no data of Clicktrail"):
        data_folder(settings)
    keys = KeyFile(settings.data / "keys.json")
    assert data_folder(settings, lambda _: keys.create_if_missing()) == settings.data
