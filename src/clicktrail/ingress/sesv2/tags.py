"""SES v2: tags of configuration sets and identities."""

from collections.abc import Iterable, Sequence
from urllib.parse import unquote

from clicktrail.ingress.sesv2.operations import Body, Call, Operation, bad_request
from clicktrail.model import ResourceTags
from clicktrail.store.configuration_store import ConfigurationStore


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

    ``arn:aws:ses:REGION:ACCOUNT:configuration-set/NAME`` and ``…:identity/NAME``; region and
    account may be any.
    """

    def __init__(self, configuration: ConfigurationStore) -> None:
        self._configuration = configuration

    def rows(self) -> Iterable[Operation]:
        """Return the operations."""
        yield Operation("TagResource", "POST", "/tags", "manage", self.tag, TagResource)
        yield Operation("UntagResource", "DELETE", "/tags", "manage", self.untag)
        yield Operation("ListTagsForResource", "GET", "/tags", "read", self.list)

    async def list(self, call: Call, _: Body) -> object:
        """``ListTagsForResource``."""
        return {"Tags": shown_tags(await self._tags(*_resource(call.asked("ResourceArn") or "")))}

    async def tag(self, _: Call, body: TagResource) -> object:
        """``TagResource``: tags of the same key are replaced."""
        kind, name = _resource(body.resource_arn)
        tags = dict(await self._tags(kind, name)) | dict(given_tags(body.tags))
        await self._put(kind, name, tuple(tags.items()))
        return {}

    async def untag(self, call: Call, _: Body) -> object:
        """``UntagResource``."""
        kind, name = _resource(call.asked("ResourceArn") or "")
        gone = set(call.query.get("TagKeys", ()))
        tags = await self._tags(kind, name)
        await self._put(kind, name, tuple(tag for tag in tags if tag[0] not in gone))
        return {}

    async def _tags(self, kind: str, name: str) -> ResourceTags:
        if kind == "identity":
            return (await self._configuration.get_identity(name)).tags
        return (await self._configuration.get_set(name)).tags

    async def _put(self, kind: str, name: str, tags: ResourceTags) -> None:
        if kind == "identity":
            await self._configuration.tag_identity(name, tags)
        else:
            await self._configuration.tag_set(name, tags)


def _resource(arn: str) -> tuple[str, str]:
    head, _, rest = arn.partition(":")
    kind, _, name = rest.rpartition(":")[2].partition("/")
    if head != "arn" or kind not in ("identity", "configuration-set") or not name:
        raise bad_request(
            f"ResourceArn is {arn[:100]!r}: expected arn:aws:ses:REGION:ACCOUNT:identity/NAME or"
            " …:configuration-set/NAME"
        )
    return kind, unquote(name)
