"""Amazon Data Firehose: ``arn:aws:firehose:…``.

An event is a record that ends with a line feed: Firehose joins records as they are, and what
arrives is JSON Lines.
"""

from collections.abc import Sequence

from clicktrail.base.arn import Arn
from clicktrail.errors import DeliveryFailed
from clicktrail.publish.destinations import Event
from clicktrail.publish.destinations.aws import AwsClient, Limits, put_in_parts, record_errors

# Amazon Data Firehose API Reference, PutRecordBatch.
LIMITS = Limits(500, 1000 * 1024, 4 * 1024 * 1024)


class FirehoseDestination:
    """Puts events into delivery streams by PutRecordBatch. Records that are refused fail alone."""

    batch = LIMITS.records

    def __init__(self, client: AwsClient) -> None:
        self._client = client

    async def send_many(self, arn: Arn, events: Sequence[Event]) -> list[DeliveryFailed | None]:
        """See `BatchDestination.send_many`."""

        async def put(part: Sequence[Event]) -> list[str]:
            records = [{"Data": event.payload + b"\n"} for event in part]
            body = {"DeliveryStreamName": arn.name, "Records": records}
            answer = await self._client.call(
                "firehose", "Firehose_20150804.PutRecordBatch", arn, body
            )
            return record_errors(answer, len(part))

        return await put_in_parts(events, lambda event: len(event.payload) + 1, LIMITS, put)

    async def close(self) -> None:
        """See `BatchDestination.close`."""
        await self._client.close()
