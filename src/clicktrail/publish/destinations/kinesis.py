"""Kinesis Data Streams, and what speaks like it: ``arn:aws:kinesis:…`` and ``arn:yc:yds:…``.

An event is a record, its partition key the email's id: the events of an email stay on one shard.
"""

from collections.abc import Sequence

from clicktrail.base.arn import Arn
from clicktrail.errors import DeliveryFailed
from clicktrail.publish.destinations import Event
from clicktrail.publish.destinations.aws import AwsClient, Limits, put_in_parts, record_errors

# Kinesis Data Streams API Reference, PutRecords: data and partition keys count.
LIMITS = Limits(500, 1024 * 1024, 5 * 1024 * 1024)


class KinesisDestination:
    """Puts events into data streams by PutRecords. Records that are refused fail alone."""

    batch = LIMITS.records

    def __init__(self, client: AwsClient) -> None:
        self._client = client

    async def send_many(self, arn: Arn, events: Sequence[Event]) -> list[DeliveryFailed | None]:
        """See `BatchDestination.send_many`."""

        async def put(part: Sequence[Event]) -> list[str]:
            records = [{"Data": e.payload, "PartitionKey": e.message_id} for e in part]
            body = {"StreamName": arn.name, "Records": records}
            if not arn.endpoint:
                body["StreamARN"] = arn.text  # a stream of another account is known by it alone
            answer = await self._client.call("kinesis", "Kinesis_20131202.PutRecords", arn, body)
            return record_errors(answer, len(part))

        return await put_in_parts(events, lambda e: len(e.payload) + len(e.message_id), LIMITS, put)

    async def close(self) -> None:
        """See `BatchDestination.close`."""
        await self._client.close()
