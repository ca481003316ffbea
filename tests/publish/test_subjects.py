"""What is remembered of emails is bounded, and nothing of it outlives an erasure."""

import json

from clicktrail.base.ids import now_us
from clicktrail.publish.subjects import Subjects
from clicktrail.store.configuration import Configuration
from support.publishing import House

LONG = (("X-Long", "x" * 1000),)


async def test_emails_clicked_last_are_remembered_up_to_a_size(house: House) -> None:
    ids = [(await house.message(headers=LONG)).id for _ in range(4)]
    subjects = Subjects(house.store, remembered=3000)  # two of these emails, not three
    for message_id in (*ids, ids[2], ids[2]):
        await subjects.of([message_id], Configuration(1))
    await house.store.messages.forget(now_us() + 1_000_000)
    found = await subjects.of(ids, Configuration(1))
    known = [message_id for message_id in ids if "headers" in json.loads(found[message_id].mail)]
    assert known == ids[2:]


async def test_nothing_is_remembered_beyond_a_change_of_the_configuration(house: House) -> None:
    message = await house.message(headers=LONG)
    subjects = Subjects(house.store)
    await subjects.of([message.id], Configuration(1))
    await house.store.messages.forget(now_us() + 1_000_000)
    found = await subjects.of([message.id], Configuration(2))
    assert json.loads(found[message.id].mail) == {"messageId": message.id}
