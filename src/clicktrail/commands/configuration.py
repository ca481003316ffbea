"""``clicktrail configuration-set``, ``event-destination``, ``engagement-statistics``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clicktrail.base.arn import check_deliverable, stream_arn, webhook_arn
from clicktrail.commands.shared.common import (
    Json,
    Yes,
    confirm,
    print_json,
    print_table,
    settings_of,
    with_store,
)
from clicktrail.commands.shared.rules import (
    Anonymous,
    Append,
    Archives,
    LimitsOfVerdicts,
    LinkLimit,
    NoTrackHost,
    NoTrackText,
    OnlyTrackHost,
    Opens,
    PassParameters,
    TrackUnsubscribe,
    given_rules,
    rules_rows,
    shown,
)
from clicktrail.commands.shared.settle import Settle, seconds_of
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.model import (
    PRODUCED,
    ConfigurationSet,
    EventDestination,
    EventType,
    HttpsPolicy,
    Identity,
    Rules,
    check_name,
)
from clicktrail.service.parts.objection import objection

if TYPE_CHECKING:
    from clicktrail.store import Store

sets = typer.Typer(no_args_is_help=True, help="Configuration sets: what is tracked, who is told.")
destinations = typer.Typer(
    no_args_is_help=True,
    help="Event destinations of a configuration set: where its events go.",
)
engagement = typer.Typer(
    no_args_is_help=True,
    help="Engagement statistics: count clicks of a configuration set, notify nobody.",
)
sets.add_typer(destinations, name="event-destination")
sets.add_typer(engagement, name="engagement-statistics")

SetName = Annotated[str, typer.Argument(metavar="SET", help="Name of the configuration set.")]
DestinationName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the destination.")]
Types = Annotated[
    list[EventType] | None,
    typer.Option("--type", case_sensitive=False, help="Event type; may be given several times."),
]
Stream = Annotated[str | None, typer.Option(help="Send to the built-in stream of this name.")]
Webhook = Annotated[str | None, typer.Option(metavar="URL", help="Send to this https URL.")]
Arn = Annotated[
    str | None, typer.Option(help="Send where this ARN says: Kinesis, Firehose, Kafka, NATS …")
]
Domain = Annotated[
    str | None,
    typer.Option("--redirect-domain", help="Host of this set's tracking links; '' for none."),
]
Policy = Annotated[
    HttpsPolicy | None,
    typer.Option(
        "--https-policy",
        case_sensitive=False,
        help="Scheme of tracking links: OPTIONAL, the original link's; REQUIRE, always https.",
    ),
]
KeepHtml = Annotated[
    bool | None,
    typer.Option(
        "--keep-html/--no-keep-html", help="Keep the HTML of tracked emails, for click maps."
    ),
]
VisibleUrls = Annotated[
    bool | None,
    typer.Option(
        "--track-visible-urls/--no-track-visible-urls",
        help="Track links whose text is their own URL: readers see that they lead elsewhere.",
    ),
]


@sets.command("create")
def create_set(
    context: typer.Context,
    name: SetName,
    engagement_statistics: Annotated[
        bool, typer.Option("--engagement-statistics", help="Count clicks from the start.")
    ] = False,
    redirect_domain: Domain = None,
    https_policy: Policy = None,
    keep_html: KeepHtml = False,
    track_visible_urls: VisibleUrls = True,
    no_track_host: NoTrackHost = None,
    only_track_host: OnlyTrackHost = None,
    track_unsubscribe: TrackUnsubscribe = None,
    no_track_text: NoTrackText = None,
    append: Append = None,
    archive_recipients: Archives = None,
    link_limit: LinkLimit = None,
    pass_parameters: PassParameters = None,
    anonymous: Anonymous = None,
    thresholds: LimitsOfVerdicts = None,
    settle: Settle = None,
) -> None:
    """Create a configuration set."""
    rules = given_rules(
        no_track_hosts=no_track_host,
        only_track_hosts=only_track_host,
        track_unsubscribe=track_unsubscribe,
        no_track_text=no_track_text,
        append=append,
        archives=archive_recipients,
        link_limit=link_limit,
        pass_parameters=pass_parameters,
        anonymous=anonymous,
        thresholds=thresholds,
    )
    made = ConfigurationSet(
        check_name(name, "configuration set name"),
        engagement_statistics,
        redirect_domain or None,
        https_policy or HttpsPolicy.OPTIONAL,
        keep_html=bool(keep_html),
        track_visible_urls=bool(track_visible_urls),
        rules=Rules(**rules),
        settle=seconds_of(settle) or 0,
    )
    with_store(context, lambda store: store.configuration.create_set(made))
    tracking = "is on" if made.click_tracking else "is off: add a CLICK destination to turn it on"
    typer.echo(f"Created configuration set {name}. Click tracking {tracking}.")


@sets.command("update")
def update_set(
    context: typer.Context,
    name: SetName,
    redirect_domain: Domain = None,
    https_policy: Policy = None,
    keep_html: KeepHtml = None,
    track_visible_urls: VisibleUrls = None,
    no_track_host: NoTrackHost = None,
    only_track_host: OnlyTrackHost = None,
    track_unsubscribe: TrackUnsubscribe = None,
    no_track_text: NoTrackText = None,
    append: Append = None,
    archive_recipients: Archives = None,
    link_limit: LinkLimit = None,
    pass_parameters: PassParameters = None,
    anonymous: Anonymous = None,
    thresholds: LimitsOfVerdicts = None,
    settle: Settle = None,
) -> None:
    """Change a configuration set's tracking links; what is not given stays as it is."""
    changes: dict[str, Any] = {}
    changes["rules"] = given_rules(
        no_track_hosts=no_track_host,
        only_track_hosts=only_track_host,
        track_unsubscribe=track_unsubscribe,
        no_track_text=no_track_text,
        append=append,
        archives=archive_recipients,
        link_limit=link_limit,
        pass_parameters=pass_parameters,
        anonymous=anonymous,
        thresholds=thresholds,
    )
    changes |= {
        "https_policy": https_policy,
        "keep_html": keep_html,
        "track_visible_urls": track_visible_urls,
        "settle": seconds_of(settle),
    }
    if redirect_domain is not None:
        changes["redirect_domain"] = redirect_domain or None
    with_store(context, lambda store: store.configuration.update_set(name, **changes))
    typer.echo(f"Updated configuration set {name}.")


@sets.command("list")
def list_sets(context: typer.Context, as_json: Json = False) -> None:
    """List all configuration sets."""
    found = with_store(context, lambda store: store.configuration.list_sets())
    if as_json:
        print_json([shown(each) for each in found])
        return
    print_table(
        ("Name", "Click tracking", "Engagement statistics", "Event destinations"),
        (
            (
                s.name,
                on(s.click_tracking),
                on(s.engagement),
                ", ".join(d.name for d in s.destinations),
            )
            for s in found
        ),
        empty="There is no configuration set yet: clicktrail configuration-set create NAME",
    )


@sets.command("show")
def show_set(context: typer.Context, name: SetName, as_json: Json = False) -> None:
    """Show one configuration set."""
    found = with_store(context, lambda store: store.configuration.get_set(name))
    if as_json:
        print_json(shown(found))
        return
    print_table(
        ("Setting", "Value"),
        (
            ("Name", found.name),
            ("Click tracking", on(found.click_tracking)),
            ("Open tracking", on(found.open_tracking)),
            ("Engagement statistics", on(found.engagement)),
            ("Redirect domain", found.redirect_domain or "the installation's"),
            ("HTTPS policy", found.https_policy.value),
            ("HTML of emails", "kept" if found.keep_html else "not kept"),
            ("Links that show their URL", "tracked" if found.track_visible_urls else "left alone"),
            *rules_rows(found.rules),
            ("Clicks are told", f"after {found.settle} s" if found.settle else "at once"),
        ),
    )
    print_table(
        ("Event destination", "Enabled", "Types", "ARN"),
        ((d.name, on(d.enabled), ", ".join(sorted(d.types)), d.arn) for d in found.destinations),
        empty="It has no event destination: nobody is notified.",
    )


@sets.command("delete")
def delete_set(context: typer.Context, name: SetName, yes: Yes = False) -> None:
    """Delete a configuration set and its destinations. Links that were sent keep working."""

    async def look(store: "Store") -> tuple[ConfigurationSet, list[Identity]]:
        found = await store.configuration.get_set(name)
        return found, await store.configuration.list_identities()

    found, identities = with_store(context, look)
    goes = [each.name for each in found.destinations]
    bound = [each.name for each in identities if each.configuration_set == name]
    what = f" Its event destinations go with it: {', '.join(goes)}." if goes else ""
    what += f" Bound to none from then on: {', '.join(bound)}." if bound else ""
    confirm(f"Delete configuration set {name}?{what}", yes)
    with_store(context, lambda store: store.configuration.delete_set(name))
    typer.echo(f"Deleted configuration set {name}.")


@destinations.command("add")
def add_destination(
    context: typer.Context,
    set_name: SetName,
    name: DestinationName,
    types: Types = None,
    stream: Stream = None,
    webhook: Webhook = None,
    arn: Arn = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Add it switched off.")] = False,
) -> None:
    """Add an event destination; with the type CLICK (the default) it turns click tracking on."""
    made = EventDestination(
        check_name(name, "event destination name"),
        one_arn(stream, webhook, arn),
        frozenset(types or (EventType.CLICK,)),
        not disabled,
    )
    with_store(context, lambda store: store.configuration.add_destination(set_name, made))
    typer.echo(f"Added event destination {name} to {set_name}: {made.arn}")
    _note(context, made)


@destinations.command("update")
def update_destination(
    context: typer.Context,
    set_name: SetName,
    name: DestinationName,
    types: Types = None,
    stream: Stream = None,
    webhook: Webhook = None,
    arn: Arn = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Switch it on or off.")
    ] = None,
) -> None:
    """Change an event destination; what is not given stays as it is."""

    async def update(store: "Store") -> EventDestination:
        found = await store.configuration.get_set(set_name)
        old = next((d for d in found.destinations if d.name == name), None)
        if old is None:
            raise NotFound(f"configuration set {set_name!r} has no event destination {name!r}")
        changed = replace(
            old,
            types=frozenset(types) if types else old.types,
            arn=one_arn(stream, webhook, arn) if stream or webhook or arn else old.arn,
            enabled=old.enabled if enabled is None else enabled,
        )
        await store.configuration.update_destination(set_name, changed)
        return changed

    made = with_store(context, update)
    typer.echo(f"Updated event destination {name} of {set_name}.")
    _note(context, made)


@destinations.command("remove")
def remove_destination(context: typer.Context, set_name: SetName, name: DestinationName) -> None:
    """Remove an event destination."""
    with_store(context, lambda store: store.configuration.remove_destination(set_name, name))
    typer.echo(f"Removed event destination {name} from {set_name}.")


@engagement.command("enable")
def enable_engagement(context: typer.Context, set_name: SetName, opens: Opens = None) -> None:
    """Count clicks, and opens where you say so. This alone notifies nobody."""

    async def enable(store: "Store") -> ConfigurationSet:
        changes: dict[str, Any] = {} if opens is None else {"engagement_opens": opens}
        await store.configuration.update_set(set_name, engagement=True, **changes)
        return await store.configuration.get_set(set_name)

    what = "clicks and opens are" if with_store(context, enable).engagement_opens else "clicks are"
    typer.echo(f"Engagement statistics of {set_name} are on: {what} counted.")


@engagement.command("disable")
def disable_engagement(context: typer.Context, set_name: SetName) -> None:
    """Stop counting clicks and opens, unless an event destination wants them."""

    async def disable(store: "Store") -> ConfigurationSet:
        await store.configuration.update_set(set_name, engagement=False, engagement_opens=False)
        return await store.configuration.get_set(set_name)

    left = with_store(context, disable)
    still = "stays on for its event destinations" if left.click_tracking else "is off"
    typer.echo(f"Engagement statistics of {set_name} are off. Click tracking {still}.")


def one_arn(stream: str | None, webhook: str | None, arn: str | None) -> str:
    """Return the ARN of the one place that was named. Raises `InvalidInput`."""
    named = [text for text in (stream, webhook, arn) if text]
    if len(named) != 1:
        raise InvalidInput("say where events go with one of --stream, --webhook or --arn")
    made = stream_arn(stream) if stream else webhook_arn(webhook) if webhook else str(arn)
    check_deliverable(made)
    return made


def _note(context: typer.Context, made: EventDestination) -> None:
    """Say on standard error what of a destination will not come, or not arrive."""
    if never := sorted(made.types - PRODUCED):
        typer.echo(
            f"Note: {', '.join(never)}: such events never come. Clicktrail knows of"
            f" {', '.join(sorted(PRODUCED))} alone; bounces and the like are told by what"
            " sends your emails",
            err=True,
        )
    # No refusal: the service may have been given other settings, as flags.
    if why := objection(settings_of(context), made.arn):
        typer.echo(f"Note: {why}", err=True)


def on(value: bool) -> str:
    """Return a switch's state as a word."""
    return "on" if value else "off"
