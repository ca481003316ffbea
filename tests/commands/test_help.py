"""The help of commands that take every setting, as a terminal of 80 columns shows it."""

import re

import pytest

from clicktrail.settings.table import SETTINGS
from support import forked

FIRST = ["--data", "--smarthost", "--smarthost-username"]
FIRST += ["--smtp-listen", "--tracking-host", "--redirect-listen"]
ALL = ["serve", "settings", "rewrite", "check", "repair", "event-destination test"]
OPTION = re.compile(r"^  (?:-h, )?(--[a-z0-9-]+)", re.M)


def help_of(command: str) -> str:
    done = forked.run([*forked.COMMAND, *command.split(), "--help"], environment={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_heading(text: str) -> dict[str, list[str]]:
    """Return the options under each heading, in their order."""
    _, *parts = re.split(r"^(\S.*):\n", text, flags=re.M)
    return {
        heading: OPTION.findall(options)
        for heading, options in zip(parts[::2], parts[1::2], strict=True)
    }


@pytest.mark.parametrize("command", ALL)
def test_what_matters_most_comes_first_and_every_setting_stands_under_its_topic(
    command: str,
) -> None:
    text = help_of(command)
    found = by_heading(text)
    assert list(found)[:2] == ["What you need first", "Options"]
    assert found["What you need first"] == FIRST
    own = found.pop("Options")
    flags = [setting.flag for setting in SETTINGS]
    assert set(own).isdisjoint(flags)
    assert sorted(flag for each in found.values() for flag in each) == sorted(flags), (
        "each setting stands there, once"
    )
    topics = {setting.flag: setting.name.partition(".")[0] for setting in SETTINGS}
    for heading, options in list(found.items())[1:]:
        others = [
            each for name, each in found.items() if name not in (heading, "What you need first")
        ]
        inside = {topics[flag] for flag in options}
        assert inside.isdisjoint(topics[flag] for each in others for flag in each), heading
    assert max(map(len, text.splitlines())) <= 80


def test_the_help_tells_what_holds_where_nothing_is_said() -> None:
    said = " ".join(help_of("serve").split())
    for name in ("smtp.listen", "redirect.listen", "api.listen", "data"):
        [setting] = [each for each in SETTINGS if each.name == name]
        assert f"{setting.help} [default: {setting.default}]" in said
