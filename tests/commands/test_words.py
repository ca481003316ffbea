"""Words of the command line that are not UTF-8: no command ever sees one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer import BadParameter
from typer.main import get_command
from typer.testing import CliRunner

from clicktrail.cli import build
from clicktrail.errors import SettingError
from clicktrail.keys.ringfile import KeyFile
from clicktrail.settings.settings import load_settings
from clicktrail.settings.table import SETTINGS

BAD = os.fsdecode(b"\xff\xfe")
SAID = r"is not in UTF-8, which all names and paths must be"
FLAGS = {setting.flag for setting in SETTINGS[1:]}
COMMANDS = build()


def commands(group: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


def lines(root: Any) -> Iterator[list[str]]:
    """Yield command lines, one bad word in each: every argument, and every option of text."""
    for names, command in commands(root):
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        fine = ["1"] * len(arguments)  # a number and a name
        for place in range(len(arguments)):
            yield [*names, *fine[:place], BAD, *fine[place + 1 :]]
        for option in command.params:
            if option in arguments or getattr(option, "is_flag", False):
                continue
            if FLAGS.isdisjoint(option.opts):
                yield [*names, *fine, option.opts[0], BAD]
    yield ["serve", "--smarthost", BAD]
    yield [BAD]
    yield ["keys", BAD]
    yield ["keys", "list", f"--{BAD}"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    KeyFile(folder / "keys.json").create_if_missing()
    return folder


def test_a_word_that_is_not_utf_8_is_refused_wherever_it_stands(data: Path) -> None:
    before = sorted(data.iterdir())
    root = get_command(COMMANDS)
    walked = list(lines(root))
    assert len(walked) > 100
    for words in walked:
        at = [] if "--data" in words else ["--data", str(data)]
        with pytest.raises(BadParameter) as refused:
            root.main([*words, *at], standalone_mode=False)
        assert SAID in str(refused.value), words
    assert sorted(data.iterdir()) == before


def test_a_secret_that_is_not_utf_8_is_not_shown() -> None:
    done = CliRunner().invoke(COMMANDS, ["serve", "--smarthost-password", "geheim" + BAD])
    assert done.exit_code == 2
    assert "(hidden) behind --smarthost-password is not in UTF-8" in done.output
    assert "geheim" not in done.output


def test_the_bytes_that_a_shell_gives_are_told(data: Path) -> None:
    command = [os.fsencode(sys.executable), *b"-m clicktrail smtp-user delete \xff\xfe".split()]
    done = subprocess.run(
        [*command, b"--data", bytes(data)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, SAID in done.stderr) == (2, True), done.stderr
    assert r"\xff\xfe is not" in done.stderr


@pytest.mark.parametrize("name", ["CLICKTRAIL_DATA", "CLICKTRAIL_CONFIG", "CLICKTRAIL_API_TOKEN"])
def test_a_variable_that_is_not_utf_8_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match=f"value of {name} in the environment is not in UTF-8"):
        load_settings({}, {name: BAD})


def test_text_of_any_script_is_text() -> None:
    assert load_settings({"data": "дані"}).data == Path("дані")
