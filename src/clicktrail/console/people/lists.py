"""Contact lists: made, described, their topics, and their contacts as they are searched for."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from clicktrail.base.ids import now_us
from clicktrail.console.forms import answer, field, path_of
from clicktrail.console.views import Views
from clicktrail.errors import InvalidInput
from clicktrail.model.subscription import Contact, ContactList, SubscriptionStatus, Topic
from clicktrail.store import Store
from clicktrail.store.people.contact_rows import Filter

ALL = "/contact-lists"
SHOWN = 100


class ListPages:
    """Pages of contact lists."""

    def __init__(self, store: Store, views: Views) -> None:
        self._contacts = store.contacts
        self._views = views

    async def list(self, request: Request) -> Response:
        """Show all."""
        return self._views.page(request, "contact_lists.html", lists=await self._contacts.lists())

    async def create(self, request: Request) -> Response:
        """Make a new one."""
        name = field(request, "name")

        async def work() -> str:
            now = now_us()
            made = ContactList(name, now, now, field(request, "description"))
            await self._contacts.create_list(made)
            return ""

        return await answer(request, work, f"{ALL}#new", address_of(name))

    async def show(self, request: Request) -> Response:
        """Show one, with those of its contacts that are asked for."""
        known = await self._contacts.get_list(request.path_params["list"])
        asked = request.query_params
        part, after, topic = (asked.get(name, "").strip() for name in ("q", "after", "topic"))
        status = next((s for s in SubscriptionStatus if s == asked.get("status")), None)
        only = Filter(status, topic, with_default=True) if status else None
        looked = await self._contacts.search(known.name, part, after, SHOWN, only)
        given = {"q": part, "status": status or "", "topic": topic if status else ""}
        kept = {name: value for name, value in given.items() if value}
        return self._views.page(
            request,
            "contact_list.html",
            found=known,
            contacts=[(each, standing(each, known)) for each in looked.found],
            statuses=STATUSES,
            q=part,
            chosen=status,
            topic=topic,
            first=not after,
            query=urlencode(kept),
            older=urlencode(kept | {"after": looked.following}) if looked.following else "",
        )

    async def change(self, request: Request) -> Response:
        """Describe one anew."""
        name = request.path_params["list"]

        async def work() -> str:
            await self._contacts.update_list(name, None, field(request, "description"))
            return "Saved."

        return await answer(request, work, f"{address_of(name)}#settings")

    async def put_topic(self, request: Request) -> Response:
        """Add a topic, or change one."""
        name, topic = request.path_params["list"], field(request, "topic")
        is_new = field(request, "what") != "change"

        async def work() -> str:
            made = Topic(
                topic,
                field(request, "display_name") or topic,
                status_of(field(request, "default")),
                field(request, "description"),
            )
            await self._contacts.put_topic(name, made, new=is_new)
            return "Saved."

        place = "new-topic" if is_new else f"topic-{topic}"
        return await answer(
            request, work, f"{address_of(name)}#{place}", f"{address_of(name)}#topics"
        )

    async def remove_topic(self, request: Request) -> Response:
        """Take a topic off one."""
        name, topic = request.path_params["list"], field(request, "topic")

        async def work() -> str:
            await self._contacts.remove_topic(name, topic)
            return f"Removed the topic {topic}. What people have said of it stays in force."

        return await answer(request, work, f"{address_of(name)}#topics")

    async def delete(self, request: Request) -> Response:
        """Delete one, with all its contacts."""
        name = request.path_params["list"]

        async def work() -> str:
            await self._contacts.delete_list(name)
            return f"Deleted the contact list {name}."

        return await answer(request, work, f"{address_of(name)}#delete", f"{ALL}#lists")


def standing(contact: Contact, known: ContactList) -> str:
    """Return in words what a contact gets."""
    if contact.unsubscribed:
        return "Unsubscribed"
    names = {each.name: each.display_name for each in known.topics}
    out = [
        names.get(topic, topic)
        for topic, status in contact.preferences
        if status is SubscriptionStatus.OPT_OUT
    ]
    return f"Subscribed, but for {', '.join(out)}" if out else "Subscribed"


def status_of(text: str) -> SubscriptionStatus:
    """Return a status by its name. Raises `InvalidInput`."""
    try:
        return SubscriptionStatus(text)
    except ValueError:
        raise InvalidInput(f"{text[:50]!a} is no status: use OPT_IN or OPT_OUT") from None


STATUSES = (
    (SubscriptionStatus.OPT_IN.value, "Subscribed"),
    (SubscriptionStatus.OPT_OUT.value, "Unsubscribed"),
)


def address_of(name: str) -> str:
    """Return the page of a contact list."""
    return path_of("contact-lists", name)
