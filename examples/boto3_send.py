"""Send a tracked email with boto3, as one would with Amazon SES.

    clicktrail access-key create --scope send --scope manage
    export AWS_ENDPOINT_URL_SESV2=http://127.0.0.1:8482 AWS_DEFAULT_REGION=eu-central-1
    export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…
    pip install boto3
    python examples/boto3_send.py news@example.com reader@gmail.com

Only the environment tells it from a program for Amazon. What is there already (the configuration
set ``news``, its event destination ``clicks``, the identity) is used as it is. Clicks arrive in the
built-in stream ``clicks``: ``clicktrail events tail --stream clicks --follow``.
"""

import argparse
import contextlib
import os
import sys
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

CONFIGURATION_SET = "news"
STREAM = "arn:clicktrail:stream:::clicks"
HTML = """\
<p>New this week: <a ses:tags="product:book;" href="https://example.com/books">four books</a>.</p>
<p><a ses:no-track href="https://example.com/unsubscribe">No more of these</a></p>
"""


def prepare(client: Any, identity: str) -> None:
    """Make the configuration set, its event destination and the identity, where they are not."""
    there = client.exceptions.AlreadyExistsException
    with contextlib.suppress(there):
        client.create_configuration_set(ConfigurationSetName=CONFIGURATION_SET)
    with contextlib.suppress(there):
        client.create_configuration_set_event_destination(
            ConfigurationSetName=CONFIGURATION_SET,
            EventDestinationName="clicks",
            EventDestination={
                "Enabled": True,
                "MatchingEventTypes": ["CLICK"],
                # SES asks for a role; here it is kept, and of no use.
                "KinesisFirehoseDestination": {"IamRoleArn": "none", "DeliveryStreamArn": STREAM},
            },
        )
    with contextlib.suppress(there):
        client.create_email_identity(EmailIdentity=identity)


def send(client: Any, sender: str, recipient: str) -> str:
    """Send the email; return its message id, which the events have as ``mail.messageId``."""
    answer = client.send_email(
        FromEmailAddress=sender,
        Destination={"ToAddresses": [recipient]},  # one: links are tracked for one recipient
        Content={
            "Simple": {
                "Subject": {"Data": "New this week"},
                "Body": {
                    "Text": {"Data": "New this week: https://example.com/books"},
                    "Html": {"Data": HTML},
                },
            }
        },
        ConfigurationSetName=CONFIGURATION_SET,
        EmailTags=[{"Name": "campaign", "Value": "week47"}],
    )
    return str(answer["MessageId"])


def main() -> None:
    """Read the command line, send, and say what was done."""
    parser = argparse.ArgumentParser(description="Send a tracked email with boto3.")
    parser.add_argument("sender", help="an address of a domain of yours")
    parser.add_argument("recipient")
    given = parser.parse_args()
    if "AWS_ENDPOINT_URL_SESV2" not in os.environ:
        parser.error("AWS_ENDPOINT_URL_SESV2 is not set: the email would go to Amazon")
    try:
        client = boto3.client("sesv2")
    except BotoCoreError as error:
        sys.exit(f"Not sent: {error}")
    try:
        prepare(client, given.sender.rpartition("@")[2])
        print(f"Sent: {send(client, given.sender, given.recipient)}")
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"Not sent: {error}")
    finally:
        client.close()


if __name__ == "__main__":
    main()
