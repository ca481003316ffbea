"""``clicktrail rewrite``: what happens to one email, without any service."""

import sys
from typing import Annotated

import typer

from clicktrail.commands.common import keys_of, print_table, settings_of
from clicktrail.errors import InvalidInput
from clicktrail.ids import new_id
from clicktrail.model import HttpsPolicy
from clicktrail.rewrite import Policy, Rewritten, rewrite_message


def rewrite(
    context: typer.Context,
    report: Annotated[
        bool,
        typer.Option(
            "--report", help="Tell on standard error what happened to each link, and why."
        ),
    ] = False,
    https_policy: Annotated[
        HttpsPolicy, typer.Option(case_sensitive=False, help="Scheme of tracking links.")
    ] = HttpsPolicy.OPTIONAL,
) -> None:
    """Rewrite an email: from standard input to standard output, as if its tracking were on."""
    if sys.stdin.isatty():
        raise InvalidInput("give an email on standard input: clicktrail rewrite < in.eml > out.eml")
    ring = keys_of(context).ring()
    hosts = settings_of(context).tracking_hosts
    sealer = ring.sealer(new_id())
    policy = Policy(
        link=lambda index, url: hosts.prefix(url, https_policy) + sealer.seal(index, url),
        is_own=ring.is_tracking_link,
    )
    result = rewrite_message(sys.stdin.buffer.read(), policy, report=report)
    sys.stdout.buffer.write(result.message)
    sys.stdout.flush()
    if report:
        print_report(result)


def print_report(result: Rewritten) -> None:
    """Print what happened to each link, on standard error."""
    print_table(
        ("#", "Line", "Element", "Link", "Outcome", "Why", "Tags"),
        (
            (
                row.part,
                row.line,
                row.element,
                row.url if row.url is not None else row.value,
                row.outcome,
                row.why,
                "; ".join(f"{key}:{value}" for key, value in row.tags),
            )
            for row in result.report
        ),
        title="Links",
        numbers=("#", "Line"),
        empty="There are no links.",
        to_stderr=True,
    )
    for warning in result.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    if result.reason is not None:
        typer.echo(f"Not tracked ({result.reason}): the email is unchanged.", err=True)
    else:
        typer.echo(f"{len(result.links)} links tracked.", err=True)
