"""boto3 clients of a running service, and access keys for them."""

import json
from typing import Any

import boto3
import botocore
from botocore.config import Config

from support.service import PATIENCE, Service

LISTED = (1, 44, 8)
"""The version of botocore whose operations are in ``ingress/sesv2_missing.py``."""


def knows_more() -> bool:
    """Whether the botocore that is here may know operations that are not listed yet."""
    version = tuple(map(int, botocore.__version__.split(".")))  # noqa: RUF048 - they are numbers
    return version > LISTED


def access_key(service: Service, *scopes: str) -> tuple[str, str]:
    """Make an access key; return its id and secret."""
    options = [option for scope in scopes for option in ("--scope", scope)]
    made = json.loads(service.cli("access-key", "create", "--json", *options))
    return made["AccessKeyId"], made["SecretAccessKey"]


def ses_client(service: Service, key: tuple[str, str], **options: Any) -> Any:
    """Return an SES v2 client as an application has it, but for the address."""
    return boto3.client(
        "sesv2",
        endpoint_url=f"http://127.0.0.1:{service.api}",
        region_name="eu-central-1",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        # boto3's own 60 seconds may pass on a busy machine.
        config=Config(
            **{"connect_timeout": PATIENCE, "read_timeout": PATIENCE, **options},
            retries={"total_max_attempts": 1},
        ),
    )
