"""SES v2: contact lists, and the contacts on them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from clicktrail.base.ids import epoch_seconds, now_us
from clicktrail.ingress.sesv2.operations import Body, Call, Operation
from clicktrail.ingress.sesv2.paging import Page, asked_page, next_token, page
from clicktrail.ingress.sesv2.tags import Tag, given_tags, shown_tags
from clicktrail.model.subscription import Contact, ContactList, SubscriptionStatus
from clicktrail.model.subscription import Topic as KnownTopic
from clicktrail.store import Store
from clicktrail.store.people.contact_rows import Filter

_LISTS = "/contact-lists"
_LIST = f"{_LISTS}/{{ContactListName}}"
_CONTACTS = f"{_LIST}/contacts"
_CONTACT = f"{_CONTACTS}/{{EmailAddress}}"


class Topic(Body):
    """``Topic`` of SES."""

    topic_name: str
    display_name: str
    default_subscription_status: SubscriptionStatus
    description: str = ""


class CreateList(Body):
    """``CreateContactList``."""

    contact_list_name: str
    topics: list[Topic] | None = None
    description: str | None = None
    tags: tuple[Tag, ...] | None = None


class UpdateList(Body):
    """``UpdateContactList``."""

    topics: list[Topic] | None = None
    description: str | None = None


class Preference(Body):
    """``TopicPreference`` of SES."""

    topic_name: str
    subscription_status: SubscriptionStatus


class UpdateContact(Body):
    """``UpdateContact``."""

    topic_preferences: list[Preference] | None = None
    unsubscribe_all: bool | None = None
    attributes_data: str | None = None


class CreateContact(Body):
    """``CreateContact``."""

    email_address: str
    topic_preferences: list[Preference] | None = None
    unsubscribe_all: bool | None = None
    attributes_data: str | None = None


class TopicFilter(Body):
    """``TopicFilter`` of SES."""

    topic_name: str | None = None
    use_default_if_preference_unavailable: bool | None = None


class ContactsFilter(Body):
    """``ListContactsFilter`` of SES."""

    filtered_status: SubscriptionStatus | None = None
    topic_filter: TopicFilter | None = None


class ListOfContacts(Page):
    """``ListContacts``."""

    filter: ContactsFilter | None = None


class ContactOperations:
    """What is done with contact lists."""

    def __init__(self, store: Store) -> None:
        self._contacts = store.contacts

    def rows(self) -> Iterable[Operation]:
        """Return the operations."""
        manage, read = "manage", "read"
        yield Operation("CreateContactList", "POST", _LISTS, manage, self.create_list, CreateList)
        yield Operation("GetContactList", "GET", _LIST, read, self.get_list)
        yield Operation("ListContactLists", "GET", _LISTS, read, self.lists)
        yield Operation("UpdateContactList", "PUT", _LIST, manage, self.update_list, UpdateList)
        yield Operation("DeleteContactList", "DELETE", _LIST, manage, self.delete_list)
        yield Operation("CreateContact", "POST", _CONTACTS, manage, self.create, CreateContact)
        yield Operation("GetContact", "GET", _CONTACT, read, self.get)
        yield Operation(
            "ListContacts", "POST", f"{_CONTACTS}/list", read, self.list, ListOfContacts
        )
        # As clients of before 2024 have it.
        yield Operation("ListContacts", "GET", _CONTACTS, read, self.list, ListOfContacts)
        yield Operation("UpdateContact", "PUT", _CONTACT, manage, self.update, UpdateContact)
        yield Operation("DeleteContact", "DELETE", _CONTACT, manage, self.delete)

    async def create_list(self, _: Call, body: CreateList) -> object:
        """``CreateContactList``."""
        now = now_us()
        topics, tags = _topics(body.topics or ()), given_tags(body.tags or ())
        text = body.description or ""
        made = ContactList(body.contact_list_name, now, now, text, topics, tags)
        await self._contacts.create_list(made)
        return {}

    async def get_list(self, call: Call, _: Body) -> object:
        """``GetContactList``."""
        found = await self._contacts.get_list(_name(call))
        return {
            "ContactListName": found.name,
            "Topics": [
                {
                    "TopicName": topic.name,
                    "DisplayName": topic.display_name,
                    "Description": topic.description,
                    "DefaultSubscriptionStatus": topic.default,
                }
                for topic in found.topics
            ],
            "Description": found.description,
            "CreatedTimestamp": epoch_seconds(found.created_at),
            "LastUpdatedTimestamp": epoch_seconds(found.updated_at),
            "Tags": shown_tags(found.tags),
        }

    async def lists(self, call: Call, body: Body) -> object:
        """``ListContactLists``."""
        found = {each.name: each for each in await self._contacts.lists()}
        names, following = page(sorted(found), call, body)
        shown = [
            {"ContactListName": name, "LastUpdatedTimestamp": epoch_seconds(found[name].updated_at)}
            for name in names
        ]
        return {"ContactLists": shown} | following

    async def update_list(self, call: Call, body: UpdateList) -> object:
        """``UpdateContactList``; what is not given stays."""
        topics = None if body.topics is None else _topics(body.topics)
        await self._contacts.update_list(_name(call), topics, body.description)
        return {}

    async def delete_list(self, call: Call, _: Body) -> object:
        """``DeleteContactList``, with all its contacts."""
        await self._contacts.delete_list(_name(call))
        return {}

    async def create(self, call: Call, body: CreateContact) -> object:
        """``CreateContact``."""
        now = now_us()
        made = Contact(
            body.email_address,
            now,
            now,
            _preferences(body.topic_preferences or ()),
            bool(body.unsubscribe_all),
            body.attributes_data or "",
        )
        await self._contacts.create(_name(call), made)
        return {}

    async def get(self, call: Call, _: Body) -> object:
        """``GetContact``."""
        name = _name(call)
        known = await self._contacts.get_list(name)
        found = await self._contacts.get(name, call.path["EmailAddress"])
        return _shown(found, known) | {
            "ContactListName": name,
            "AttributesData": found.attributes,
            "CreatedTimestamp": epoch_seconds(found.created_at),
        }

    async def list(self, call: Call, body: ListOfContacts) -> object:
        """``ListContacts``."""
        name = _name(call)
        size, after = asked_page(call, body)
        known = await self._contacts.get_list(name)
        found = await self._contacts.page(name, after, size + 1, _filter(body.filter))
        answer: dict[str, Any] = {"Contacts": [_shown(each, known) for each in found[:size]]}
        return answer | (next_token(found[size - 1].address) if len(found) > size else {})

    async def update(self, call: Call, body: UpdateContact) -> object:
        """``UpdateContact``; what is not given stays."""
        given = body.topic_preferences
        await self._contacts.update(
            _name(call),
            call.path["EmailAddress"],
            None if given is None else _preferences(given),
            body.unsubscribe_all,
            body.attributes_data,
        )
        return {}

    async def delete(self, call: Call, _: Body) -> object:
        """``DeleteContact``."""
        await self._contacts.delete(_name(call), call.path["EmailAddress"])
        return {}


def _name(call: Call) -> str:
    return call.path["ContactListName"]


def _topics(given: Sequence[Topic]) -> tuple[KnownTopic, ...]:
    return tuple(
        KnownTopic(
            each.topic_name, each.display_name, each.default_subscription_status, each.description
        )
        for each in given
    )


def _preferences(given: Sequence[Preference]) -> tuple[tuple[str, SubscriptionStatus], ...]:
    return tuple((each.topic_name, each.subscription_status) for each in given)


def _filter(given: ContactsFilter | None) -> Filter | None:
    """Return which contacts are asked for; ``None`` for all."""
    if given is None or given.filtered_status is None:
        return None
    wanted = Filter(given.filtered_status)
    if (topic := given.topic_filter) is None:
        return wanted
    with_default = bool(topic.use_default_if_preference_unavailable)
    return replace(wanted, topic=topic.topic_name or "", with_default=with_default)


def _shown(found: Contact, known: ContactList) -> dict[str, Any]:
    said = [{"TopicName": t, "SubscriptionStatus": s} for t, s in found.preferences]
    topics = [{"TopicName": t.name, "SubscriptionStatus": t.default} for t in known.topics]
    return {
        "EmailAddress": found.address,
        "TopicPreferences": said,
        "TopicDefaultPreferences": topics,
        "UnsubscribeAll": found.unsubscribed,
        "LastUpdatedTimestamp": epoch_seconds(found.updated_at),
    }
