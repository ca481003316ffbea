"""Every member that botocore's model of SES knows does something, is named in the documentation as
doing nothing, or is refused by its name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import botocore.session
import msgspec
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from clicktrail import ingress
from clicktrail.ingress.sesv2.identities import IdentityOperations
from clicktrail.ingress.sesv2.metric_data import MetricData
from clicktrail.ingress.sesv2.operations import ApiError, Operation, body_of
from clicktrail.ingress.sesv2.recipients.contacts import ContactOperations
from clicktrail.ingress.sesv2.recipients.suppression import SuppressionOperations
from clicktrail.ingress.sesv2.send_email import EmailSender
from clicktrail.ingress.sesv2.send_shapes import PASSED_OVER
from clicktrail.ingress.sesv2.sending.bulk_email import BulkSender
from clicktrail.ingress.sesv2.sending.templates import TemplateOperations
from clicktrail.ingress.sesv2.sets import SetOperations
from clicktrail.ingress.sesv2.tags import TagOperations

MODEL = botocore.session.get_session().get_service_model("sesv2")
DOERS: tuple[Any, ...] = (
    SetOperations, IdentityOperations, TagOperations, MetricData, EmailSender,
    SuppressionOperations, ContactOperations, TemplateOperations, BulkSender,
)  # fmt: skip
OPERATIONS: list[Operation] = [row for doer in DOERS for row in object.__new__(doer).rows()]
SOURCE = "".join(path.read_text("utf-8") for path in Path(ingress.__path__[0]).rglob("*.py"))
DOCUMENTED = (Path(__file__).parents[3] / "docs" / "sesv2.md").read_text("utf-8")
KEPT = (
    "DeliveryOptions", "ReputationOptions", "ArchivingOptions", "GuardianOptions", "IamRoleArn",
    "SuppressionOptions", "ValidationAttributes",
)  # fmt: skip
"""Kept and given back, with all that is in them."""
ONE_VALUE = ("DefaultScheme", "Namespace")
"""They say what is so in any case."""
Steps = tuple[str, ...]


def members(shape: Shape | None, path: Steps = ()) -> Iterator[Steps]:
    """Yield the path of each member of a body."""
    if isinstance(shape, ListShape):
        yield from members(shape.member, path)
    if not isinstance(shape, StructureShape) or len(path) > 6:
        return
    for name, member in shape.members.items():
        if "location" not in member.serialization:
            yield (*path, name)
            yield from members(member, (*path, name))


def struct_of(kind: Any) -> type[msgspec.Struct] | None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((found for each in get_args(kind) if (found := struct_of(each))), None)


def known(operation: Operation, path: Steps) -> str | None:
    """Return the Python name of a member, ``""`` where all of its members are taken."""
    kind: type[msgspec.Struct] | None = operation.body
    name = ""
    for step in path:
        if kind is None:
            return ""
        fields = {each.encode_name: each for each in msgspec.structs.fields(kind)}
        if step not in fields:
            return None
        name, kind = fields[step].name, struct_of(fields[step].type)
    return name


def sample(shape: Shape, path: Steps) -> Any:
    """Return a value of a shape with no more in it than is required, and the member at a path."""
    match shape:
        case StructureShape():
            wanted = {*shape.required_members, *path[:1]}
            return {
                name: sample(member, path[1:] if path[:1] == (name,) else ())
                for name, member in shape.members.items()
                if name in wanted and "location" not in member.serialization
            }
        case ListShape():
            return [sample(shape.member, path)]
        case MapShape():
            return {}
        case _ if shape.type_name == "boolean":
            return True
        case _ if shape.type_name in ("integer", "long", "double", "float", "timestamp"):
            return 1
        case _:
            return (getattr(shape, "enum", None) or ["AAAA"])[0]


CASES = [
    pytest.param(operation, path, id=f"{operation.name} {'.'.join(path)}")
    for operation in OPERATIONS
    # Lists by GET are as older clients have them, with all in the query.
    if not (operation.method == "GET" and operation.name.startswith("List"))
    for path in members(MODEL.operation_model(operation.name).input_shape)
]


@pytest.mark.parametrize(("operation", "path"), CASES)
def test_each_member_acts_or_is_told_or_is_refused(operation: Operation, path: Steps) -> None:
    shape = MODEL.operation_model(operation.name).input_shape
    raw = msgspec.json.encode(sample(shape, path))
    name = known(operation, path)
    if name is None:
        with pytest.raises(ApiError, match=f"`{path[-1]}`") as caught:
            body_of(operation, raw)
        assert caught.value.status == 400
        return
    body_of(operation, raw)
    names = {*path, operation.name.removeprefix("PutConfigurationSet")}
    if told := names.intersection((*KEPT, *PASSED_OVER, *ONE_VALUE)):
        assert all(f"`{each}`" in DOCUMENTED for each in told)
    elif name:
        assert re.search(rf"\.{name}\b", SOURCE), f"nothing reads {name}"


def test_there_are_many() -> None:
    assert len(CASES) > 100
