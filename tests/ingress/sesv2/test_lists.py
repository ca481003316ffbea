"""What clients of other kinds than boto3 ask the lists for."""

import pytest

from clicktrail.errors import ClicktrailError
from clicktrail.ingress.sesv2.operations import Call, Nothing, Principal, error_of
from clicktrail.ingress.sesv2.recipients.suppression import SuppressionOperations
from clicktrail.store import Store
from clicktrail.store.people.suppression import SuppressionReason

READER = Principal("key", frozenset({"read"}))


@pytest.mark.parametrize(
    ("times", "found"),
    [
        ({"StartDate": "0"}, 1),
        ({"EndDate": "9" * 13}, 1),
        ({"StartDate": "9" * 20}, 0),
        ({"EndDate": "9" * 300}, 1),
        ({"StartDate": "0001-01-01T00:00:00Z"}, 1),
        ({"StartDate": "9999-12-31T23:59:59Z"}, 0),
        ({"EndDate": "9" * 400}, None),
        ({"StartDate": "yesterday"}, None),
        ({"StartDate": ""}, None),
    ],
)
async def test_any_time_may_be_asked_for(
    store: Store, times: dict[str, str], found: int | None
) -> None:
    await store.suppression.put("a@example.com", SuppressionReason.BOUNCE)
    call = Call(READER, {}, {name: [text] for name, text in times.items()})
    asking = SuppressionOperations(store).list(call, Nothing())
    if found is None:
        with pytest.raises(ClicktrailError, match="expected a time") as refused:
            await asking
        assert error_of(refused.value).status == 400
    else:
        answer = await asking
        assert isinstance(answer, dict)
        assert len(answer["SuppressedDestinationSummaries"]) == found
