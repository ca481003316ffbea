"""Write the documents that are made from the code: ``docs/settings.md``, ``docs/commands.md``.

python tools/make_docs.py
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from clicktrail.cli import build
from clicktrail.settings import SETTINGS

DOCS = Path(__file__).resolve().parent.parent / "docs"


def settings_page() -> str:
    """Return ``docs/settings.md``."""
    lines = [
        "# Settings",
        "",
        "Made from `src/clicktrail/settings.py` by `make docs`. A setting is given in"
        " `clicktrail.toml` (or the file named by `--config` or `CLICKTRAIL_CONFIG`), in the"
        " environment, or as a flag of `clicktrail serve`; the later wins. In the file,"
        " `smtp.listen` is the key `listen` of the table `[smtp]`; lists may be written as lists."
        " `clicktrail settings` shows the values in force and where each was given. A setting that"
        " is unknown, or whose value cannot be used, is refused at start, with its name, the value"
        " and what is expected.",
        "",
        "| setting | default | expected | meaning | flag | environment |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{s.name}` | {f'`{s.default}`' if s.default else ''} | {s.kind.expects} | {s.help} |"
        f" `{s.flag}` | `{s.environment}` |"
        for s in SETTINGS
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return ``docs/commands.md``."""
    lines = [
        "# Commands",
        "",
        "Made from `src/clicktrail/commands/` by `make docs`. Every command has `--help`, and takes"
        " `--config FILE` and `--data FOLDER`. Those that show something take `--json`.",
        "",
        "| command | does |",
        "| --- | --- |",
    ]
    lines += [f"| `clicktrail {name}` | {text} |" for name, text in all_commands(build())]
    lines += [
        "",
        "`event-destination` and `engagement-statistics` are also reached as"
        " `configuration-set event-destination` and `configuration-set engagement-statistics`.",
        "",
        "Exit status: 0, it worked; 1, it did not, and one line on standard error says why; 2, the"
        " command line is wrong.",
    ]
    return "\n".join(lines) + "\n"


def all_commands(app: typer.Typer, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each command's name and first sentence; a group with two names, by the short one."""
    for command in app.registered_commands:
        callback: Any = command.callback
        first = (inspect.getdoc(callback) or "").partition("\n")[0]
        yield f"{prefix}{command.name or callback.__name__}", first
    for group in app.registered_groups:
        if group.typer_instance is not None and not prefix:
            yield from all_commands(group.typer_instance, f"{group.name} ")


if __name__ == "__main__":
    (DOCS / "settings.md").write_text(settings_page(), encoding="utf-8")
    (DOCS / "commands.md").write_text(commands_page(), encoding="utf-8")
