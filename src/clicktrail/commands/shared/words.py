"""The words of a command line: those that are no text are refused before a command sees them."""

import os
from typing import Any

import typer
from typer.core import TyperGroup

from clicktrail.settings.arguments import is_text, shown_arguments

LONGEST = 100
"""Characters of a word that are told."""


class InWords(TyperGroup):
    """The root of the command line: every word of it passes here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See that all words are UTF-8: neither the database nor JSON takes anything else."""
        if not ctx.resilient_parsing and not all(map(is_text, args)):  # resilient: a shell asks
            readable = [os.fsencode(word).decode("utf-8", "backslashreplace") for word in args]
            shown = shown_arguments(readable)
            place = next(place for place, word in enumerate(args) if not is_text(word))
            flag = shown[place - 1] if place else ""
            behind = f" behind {flag}" if flag.startswith("-") else ""
            raise typer.BadParameter(
                f"{shown[place][:LONGEST]}{behind} is not in UTF-8, which all names and paths must"
                " be: write it so (see `locale`), or rename the file"
            )
        return super().parse_args(ctx, args)
