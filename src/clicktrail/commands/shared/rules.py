"""Options for the rules of a configuration set, and how rules are shown."""

from typing import Annotated, Any

import typer

from clicktrail.model import USUAL, ConfigurationSet, Rules
from clicktrail.model.thresholds import read_thresholds, text_of

NoTrackHost = Annotated[
    list[str] | None,
    typer.Option(
        "--no-track-host",
        metavar="HOST",
        help="Leave links to this host alone; *.example.com for all below it. May be given several"
        " times; '' for none.",
    ),
]
OnlyTrackHost = Annotated[
    list[str] | None,
    typer.Option(
        "--only-track-host",
        metavar="HOST",
        help="Leave links to all other hosts alone. May be given several times; '' for none.",
    ),
]
TrackUnsubscribe = Annotated[
    bool | None,
    typer.Option(
        "--track-unsubscribe/--no-track-unsubscribe",
        help="Track links to where the email's List-Unsubscribe leads.",
    ),
]
NoTrackText = Annotated[
    str | None,
    typer.Option(
        "--no-track-text",
        metavar="REGEX",
        help="Leave links alone whose URL has a match: '(?i)unsubscribe|preferences'; '' for none.",
    ),
]
Append = Annotated[
    str | None,
    typer.Option(
        metavar="QUERY",
        help="Parameters that tracked URLs get, but for those that they have:"
        " 'utm_source=news&utm_campaign={tag:campaign}'; '' for none.",
    ),
]
Archives = Annotated[
    list[str] | None,
    typer.Option(
        "--archive-recipients",
        metavar="ADDRESS",
        help="An archive, or @DOMAIN of archives: copies to it do not count as recipients. May be"
        " given several times; '' for none.",
    ),
]
LinkLimit = Annotated[
    int | None,
    typer.Option(
        min=0, help="Characters of the longest tracking link (2000 at first); 0 for no limit."
    ),
]
PassParameters = Annotated[
    bool | None,
    typer.Option(
        "--pass-parameters/--no-pass-parameters",
        help="Hand on query parameters that somebody appends to a tracking link.",
    ),
]

Opens = Annotated[
    bool | None,
    typer.Option(
        "--opens/--no-opens", help="Count opens too: emails get an image that tells of them."
    ),
]
Anonymous = Annotated[
    bool | None,
    typer.Option(
        "--anonymous/--not-anonymous",
        help="Track links without knowing who clicks: no email's id is in them, and neither address"
        " nor User-Agent is kept.",
    ),
]

LimitsOfVerdicts = Annotated[
    str | None,
    typer.Option(
        "--thresholds",
        metavar="NAMES",
        help="From what on a click is no person's: 'machine=3 burst=1s', of "
        + text_of(USUAL, all_of_them=True)
        + ", which are as usual where they are not named; '' for all as usual.",
    ),
]


def given_rules(**given: Any) -> dict[str, Any]:
    """Return the rules that were given, by the names of `Rules`. Raises `InvalidInput`."""
    if (thresholds := given.get("thresholds")) is not None:
        given["thresholds"] = read_thresholds(thresholds)
    return {
        name: tuple(filter(None, value)) if isinstance(value, list) else value
        for name, value in given.items()
        if value is not None
    }


def rules_rows(rules: Rules) -> list[tuple[str, str]]:
    """Return rows of a table that shows rules."""
    hosts = ", ".join(rules.only_track_hosts) or "all"
    but = f" but {', '.join(rules.no_track_hosts)}" if rules.no_track_hosts else ""
    return [
        ("Links to unsubscribe", "tracked" if rules.track_unsubscribe else "left alone"),
        ("Hosts tracked", hosts + but),
        ("URLs left alone", rules.no_track_text or "none"),
        ("Appended to URLs", rules.append or "nothing"),
        ("Archives", ", ".join(rules.archives) or "none"),
        ("Longest tracking link", str(rules.link_limit) if rules.link_limit else "no limit"),
        ("Appended to tracking links", "handed on" if rules.pass_parameters else "dropped"),
        ("Who clicks", "not known" if rules.anonymous else "known"),
        ("Thresholds of verdicts", text_of(rules.thresholds) or "as usual"),
    ]


def shown_rules(rules: Rules) -> dict[str, Any]:
    """Return rules as JSON shows them."""
    return {
        "noTrackHosts": rules.no_track_hosts,
        "onlyTrackHosts": rules.only_track_hosts,
        "trackUnsubscribe": rules.track_unsubscribe,
        "noTrackText": rules.no_track_text,
        "append": rules.append,
        "archiveRecipients": rules.archives,
        "linkLimit": rules.link_limit,
        "passParameters": rules.pass_parameters,
        "anonymous": rules.anonymous,
        "thresholds": text_of(rules.thresholds, all_of_them=True),
    }


def shown(found: ConfigurationSet) -> dict[str, Any]:
    """Return a configuration set as JSON shows it."""
    return {
        "name": found.name,
        "clickTracking": found.click_tracking,
        "openTracking": found.open_tracking,
        "engagementStatistics": found.engagement,
        "redirectDomain": found.redirect_domain,
        "httpsPolicy": found.https_policy.value,
        "keepHtml": found.keep_html,
        "trackVisibleUrls": found.track_visible_urls,
        **shown_rules(found.rules),
        "settleSeconds": found.settle,
        "eventDestinations": [
            {"name": d.name, "enabled": d.enabled, "types": sorted(d.types), "arn": d.arn}
            for d in found.destinations
        ],
    }
