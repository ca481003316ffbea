"""``clicktrail rewrite``: what happens to one email, without any service."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from clicktrail.base.ids import new_id
from clicktrail.commands.shared.common import keys_of, print_table, settings_of
from clicktrail.errors import InvalidInput
from clicktrail.headers.fields import HeaderTooLong, read_header
from clicktrail.model import HttpsPolicy
from clicktrail.rewrite import Rewritten, policy_of, rewrite_message
from clicktrail.rewrite.warn import about_fields
from clicktrail.settings.tracking import check_links


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
    track_visible_urls: Annotated[
        bool,
        typer.Option(
            "--track-visible-urls/--no-track-visible-urls",
            help="Whether links whose text is their own URL are tracked.",
        ),
    ] = True,
) -> None:
    """Rewrite an email: from standard input to standard output, as if its tracking were on."""
    if sys.stdin.isatty():
        raise InvalidInput("give an email on standard input: clicktrail rewrite < in.eml > out.eml")
    ring = keys_of(context).ring()
    settings = settings_of(context)
    check_links(settings)
    sealer = ring.sealer(new_id())
    policy = policy_of(
        settings.tracking_hosts,
        https_policy,
        sealer.seal,
        ring.is_tracking_link,
        visible_urls=track_visible_urls,
    )
    raw = sys.stdin.buffer.read()
    result = rewrite_message(raw, policy, report=report)
    sys.stdout.buffer.write(result.message)
    sys.stdout.flush()
    if report:
        print_report(result, _about_header(raw))


def _about_header(raw: bytes) -> list[str]:
    try:
        return list(about_fields(read_header(raw).fields))
    except HeaderTooLong as error:
        return [f"header: {error}: such emails are refused"]


def print_report(result: Rewritten, more: Sequence[str] = ()) -> None:
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
    for warning in (*result.warnings, *more):
        typer.echo(f"Warning: {warning}", err=True)
    if result.reason is not None:
        typer.echo(f"Not tracked ({result.reason}): the email is unchanged.", err=True)
    else:
        typer.echo(f"{len(result.links)} links tracked.", err=True)
