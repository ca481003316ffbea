"""SES v2: tags of configuration sets, identities, contact lists and templates."""

from collections.abc import Iterable, Sequence
from urllib.parse import unquote

from clicktrail.ingress.sesv2.operations import Body, Call, Operation, bad_request
from clicktrail.model import ResourceTags
from clicktrail.store.resource_tags import KINDS, ResourceTagStore


class Tag(Body):
    """A tag."""

    key: str
    value: str


class TagResource(Body):
    """``TagResource``."""

    resource_arn: str
    tags: tuple[Tag, ...]


def given_tags(tags: Sequence[Tag]) -> ResourceTags:
    """Return tags as the model has them. Raises `ApiError` for a key that is there twice."""
    given = tuple((tag.key, tag.value) for tag in tags)
    if len(dict(given)) < len(given):
        raise bad_request("Tags: a key stands there twice")
    return given


def shown_tags(tags: ResourceTags) -> list[dict[str, str]]:
    """Return tags as the wire has them."""
    return [{"Key": key, "Value": value} for key, value in tags]


class TagOperations:
    """What is done with tags. A resource is named by an ARN that ends in its kind and name.

    ``arn:aws:ses:REGION:ACCOUNT:configuration-set/NAME``, ``…:identity/NAME``,
    ``…:contact-list/NAME`` and ``…:template/NAME``; region and account may be any.
    """

    def __init__(self, tags: ResourceTagStore) -> None:
        self._tags = tags

    def rows(self) -> Iterable[Operation]:
        """Return the operations."""
        yield Operation("TagResource", "POST", "/tags", "manage", self.tag, TagResource)
        yield Operation("UntagResource", "DELETE", "/tags", "manage", self.untag)
        yield Operation("ListTagsForResource", "GET", "/tags", "read", self.list)

    async def list(self, call: Call, _: Body) -> object:
        """``ListTagsForResource``."""
        kind, name = _resource(call.asked("ResourceArn") or "")
        return {"Tags": shown_tags(await self._tags.get(kind, name))}

    async def tag(self, _: Call, body: TagResource) -> object:
        """``TagResource``: tags of the same key are replaced."""
        new = dict(given_tags(body.tags))
        await self._tags.change(*_resource(body.resource_arn), lambda tags: tags | new)
        return {}

    async def untag(self, call: Call, _: Body) -> object:
        """``UntagResource``."""
        gone = set(call.query.get("TagKeys", ()))

        def without(tags: dict[str, str]) -> dict[str, str]:
            return {key: value for key, value in tags.items() if key not in gone}

        await self._tags.change(*_resource(call.asked("ResourceArn") or ""), without)
        return {}


def _resource(arn: str) -> tuple[str, str]:
    head, _, rest = arn.partition(":")
    kind, _, name = rest.rpartition(":")[2].partition("/")
    if head != "arn" or kind not in KINDS or not name:
        raise bad_request(
            f"ResourceArn is {arn[:100]!r}: expected arn:aws:ses:REGION:ACCOUNT:KIND/NAME,"
            f" of the kinds {', '.join(KINDS)}"
        )
    return kind, unquote(name)
