"""Builds what sends events, from the settings."""

import secrets
from base64 import b64encode
from pathlib import Path

from clicktrail.base.arn import Kind
from clicktrail.errors import InvalidInput, SettingError
from clicktrail.publish.destinations import BatchDestination, Destination
from clicktrail.publish.destinations.aws import AwsClient, AwsSettings
from clicktrail.publish.destinations.firehose import FirehoseDestination
from clicktrail.publish.destinations.kafka import (
    KafkaDestination,
    KafkaSettings,
    check_options,
    kafka_settings,
)
from clicktrail.publish.destinations.kinesis import KinesisDestination
from clicktrail.publish.destinations.nats import NatsDestination, NatsSettings
from clicktrail.publish.destinations.webhook import WebhookDestination, signer_of
from clicktrail.publish.trial import send_test_event
from clicktrail.service.parts.folder import secret_of
from clicktrail.settings.settings import Settings
from clicktrail.store import Store


def webhook_secret(settings: Settings, file: Path) -> str:
    """Return what webhooks are signed with; where it is not set, a file has it, or gets a new one.

    Raises `SettingError` where it is none.
    """
    secret = secret_of(
        settings["webhook.secret"],
        file,
        lambda: "whsec_" + b64encode(secrets.token_bytes(32)).decode(),
    )
    try:
        signer_of(secret)
    except InvalidInput as error:
        given = f"webhook.secret (from {settings.source('webhook.secret')})"
        place = given if settings["webhook.secret"] else file
        raise SettingError(f"{place} cannot be used: {error}") from None
    return secret


def check_kafka_options(settings: Settings) -> None:
    """See that ``kafka.options_file`` can be used, where it is set. Raises `SettingError`."""
    if path := settings["kafka.options_file"]:
        check_options(_kafka(settings), path)


def _kafka(settings: Settings) -> KafkaSettings:
    return kafka_settings(
        settings["kafka.servers"],
        settings["kafka.security_protocol"],
        settings["kafka.sasl_mechanism"],
        settings["kafka.username"],
        settings["kafka.password"],
        settings["kafka.tls_ca"],
        settings["kafka.options_file"],
        settings["webhook.timeout"],
    )


def build_destinations(
    settings: Settings, folder: Path
) -> dict[Kind, Destination | BatchDestination]:
    """Return what sends events, by kind of ARN; built-in streams need a store, and are left out.

    None of them connects, or loads its library, before something is sent. Raises `ClicktrailError`.
    """

    secret = webhook_secret(settings, folder / "webhook-secret")
    timeout, allowed = settings["webhook.timeout"], settings["webhook.allow"]
    client = AwsClient(
        AwsSettings(
            settings["kinesis.access_key_id"],
            settings["kinesis.secret_access_key"],
            settings["kinesis.endpoint"],
            timeout,
            allowed,
        )
    )
    kinesis = KinesisDestination(client)
    nats = NatsSettings(
        settings["nats.servers"],
        settings["nats.username"],
        settings["nats.password"],
        settings["nats.token"],
        settings["nats.credentials_file"],
        settings["nats.tls"] == "first",
        settings["nats.tls_ca"],
        settings["nats.tls_certificate"],
        settings["nats.tls_key"],
        timeout,
    )
    return {
        Kind.WEBHOOK: WebhookDestination(secret, timeout, allowed),
        Kind.KINESIS: kinesis,
        Kind.YDS: kinesis,
        Kind.FIREHOSE: FirehoseDestination(client),
        Kind.KAFKA: KafkaDestination(_kafka(settings)),
        Kind.NATS: NatsDestination(nats),
    }


async def send_test(
    settings: Settings, folder: Path, store: Store, set_name: str, name: str
) -> str:
    """Send a test event to an event destination; return its id.

    See `clicktrail.publish.trial.send_test_event`.
    """

    built = build_destinations(settings, folder)
    try:
        return await send_test_event(store, built, set_name, name, settings["webhook.timeout"])
    finally:
        for each in built.values():
            await each.close()
