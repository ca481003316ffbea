"""Configuration sets: made, changed, explained in plain words."""

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.base.arn import parse_arn
from clicktrail.console.destinations import states_of
from clicktrail.console.forms import answer, field, path_of
from clicktrail.console.views import Views, listed
from clicktrail.errors import InvalidInput
from clicktrail.model import PRODUCED, USUAL, ConfigurationSet, EventType, HttpsPolicy
from clicktrail.model.thresholds import read_thresholds, text_of
from clicktrail.store import Store

ALL = "/configurations"


def outcome(found: ConfigurationSet) -> list[str]:
    """Return what happens to emails of a configuration set, in plain words."""
    told = [d.name for d in found.subscribers(EventType.CLICK)]
    sends = [d.name for d in found.subscribers(EventType.SEND)]
    said = []
    if told:
        said.append(f"Clicks are counted, and each is sent to {listed(told)}.")
    elif found.engagement:
        said.append("Clicks are counted, nothing is sent.")
    else:
        said.append("Clicks are not tracked: links stay as they are.")
    if found.open_tracking:
        openers = [d.name for d in found.subscribers(EventType.OPEN)]
        whom = f", and each is sent to {listed(openers)}" if openers else ""
        said.append(f"Opens are counted{whom}: emails get an image of one pixel.")
    if leavers := [d.name for d in found.subscribers(EventType.SUBSCRIPTION)]:
        said.append(f"Each time that somebody unsubscribes is told to {listed(leavers)}.")
    if sends:
        said.append(f"Each email sent on is told to {listed(sends)}.")
    if found.click_tracking:
        where = found.redirect_domain or "the tracking host of this installation"
        secure = "always https" if found.https_policy is HttpsPolicy.REQUIRE else "as the link was"
        said.append(f"Tracking links lead over {where}, {secure}.")
        if found.keep_html:
            said.append("The HTML of each email is kept, for click maps.")
        if not found.track_visible_urls:
            said.append("Links whose text is their own URL are left alone.")
        if found.rules.append:
            said.append(f"URLs get {found.rules.append}, but for parameters that they have.")
    return said


class Configurations:
    """Pages of configuration sets."""

    def __init__(self, store: Store, views: Views) -> None:
        self._store = store
        self._configuration = store.configuration
        self._views = views

    async def list(self, request: Request) -> Response:
        """Show all."""
        sets = [(found, outcome(found)[0]) for found in await self._configuration.list_sets()]
        return self._views.page(request, "configurations.html", sets=sets)

    async def create(self, request: Request) -> Response:
        """Make a new one."""
        name = field(request, "name")

        async def work() -> str:
            await self._configuration.create_set(ConfigurationSet(name))
            return ""

        return await answer(request, work, f"{ALL}#new", address_of(name))

    async def show(self, request: Request) -> Response:
        """Show one."""
        found = await self._configuration.get_set(request.path_params["name"])
        states = await states_of(self._store, found.name)
        identities = await self._configuration.list_identities()
        return self._views.page(
            request,
            "configuration.html",
            found=found,
            outcome=outcome(found),
            destinations=[(d, parse_arn(d.arn), states.get(d.name)) for d in found.destinations],
            bound=[i for i in identities if i.configuration_set == found.name],
            types=[each.value for each in sorted(PRODUCED)],
            policies=[each.value for each in HttpsPolicy],
            thresholds=text_of(found.rules.thresholds),
            usual_thresholds=text_of(USUAL, all_of_them=True),
        )

    async def change(self, request: Request) -> Response:
        """Change the statistics settings and the tracking links of one."""
        name = request.path_params["name"]

        async def work() -> str:
            await self._configuration.update_set(
                name,
                engagement=field(request, "engagement") == "on",
                engagement_opens=field(request, "engagement_opens") == "on",
                redirect_domain=field(request, "redirect_domain") or None,
                https_policy=_policy(field(request, "https_policy")),
                keep_html=field(request, "keep_html") == "on",
                track_visible_urls=field(request, "leave_visible_urls") != "on",
            )
            return "Saved."

        return await answer(request, work, f"{address_of(name)}#settings")

    async def change_rules(self, request: Request) -> Response:
        """Change which links of one are tracked."""
        name = request.path_params["name"]

        async def work() -> str:
            limit = field(request, "link_limit")
            if not limit.isascii() or not limit.isdigit():
                raise InvalidInput(f"{limit[:50]!r} is no number of characters")
            rules = {
                "no_track_hosts": _words(field(request, "no_track_hosts")),
                "only_track_hosts": _words(field(request, "only_track_hosts")),
                "track_unsubscribe": field(request, "leave_unsubscribe") != "on",
                "no_track_text": field(request, "no_track_text"),
                "append": field(request, "append"),
                "archives": _words(field(request, "archives")),
                "link_limit": int(limit[:9]),
                "pass_parameters": field(request, "pass_parameters") == "on",
                "anonymous": field(request, "anonymous") == "on",
                "thresholds": read_thresholds(field(request, "thresholds")),
            }
            settle = field(request, "settle") or "0"
            if not settle.isascii() or not settle.isdigit():
                raise InvalidInput(f"{settle[:50]!r} is no number of seconds")
            await self._configuration.update_set(name, rules=rules, settle=int(settle[:9]))
            return "Saved."

        return await answer(request, work, f"{address_of(name)}#rules")

    async def delete(self, request: Request) -> Response:
        """Delete one."""
        name = request.path_params["name"]

        async def work() -> str:
            await self._configuration.delete_set(name)
            return f"Deleted the configuration set {name}."

        return await answer(request, work, f"{address_of(name)}#delete", f"{ALL}#sets")


def address_of(set_name: str) -> str:
    """Return the page of a configuration set."""
    return path_of("configurations", set_name)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _policy(text: str) -> HttpsPolicy:
    try:
        return HttpsPolicy(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no HTTPS policy: use OPTIONAL or REQUIRE") from None
