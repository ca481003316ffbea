"""The API behind nginx with TLS, set up as docs/sesv2.md says."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from support.certificates import make_certificate
from support.clients import REGION, ROOT
from support.nginx import NEEDS_NGINX, example_of, nginx
from support.service import Service, hrefs, html_of
from support.ses import access_key

pytestmark = NEEDS_NGINX


@pytest.fixture
def ses(service: Service, port: int, tmp_path: Path) -> Iterator[Any]:
    """A client whose endpoint is nginx."""
    certificate, key = make_certificate(tmp_path)
    replaced = {
        "127.0.0.1:8482": f"127.0.0.1:{service.api}",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/ses.example.com.pem": str(certificate),
        "/etc/ssl/ses.example.com.key": str(key),
    }
    key_id, secret = access_key(service, "send", "manage", "read")
    with nginx(tmp_path, example_of(ROOT / "docs" / "sesv2.md", replaced)):
        client = boto3.client(
            "sesv2",
            endpoint_url=f"https://localhost:{port}",
            region_name=REGION,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            verify=str(certificate),
        )
        yield client
        client.close()


def test_paths_and_hosts_pass_as_they_were_signed(ses: Any) -> None:
    address = "ann+news@proxy.example"
    ses.create_email_identity(EmailIdentity=address)
    assert ses.get_email_identity(EmailIdentity=address)["IdentityType"] == "EMAIL_ADDRESS"
    arn = f"arn:aws:ses:{REGION}:000000000000:identity/{address}"
    ses.tag_resource(ResourceArn=arn, Tags=[{"Key": "a b", "Value": "c/d"}])
    assert ses.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a b", "Value": "c/d"}]


def test_an_email_with_a_large_attachment_passes(service: Service, ses: Any) -> None:
    name = service.configuration_set()
    ses.create_email_identity(EmailIdentity="large.example")
    ses.send_email(
        FromEmailAddress="news@large.example",
        Destination={"ToAddresses": ["reader@gmail.com"]},
        Content={
            "Simple": {
                "Subject": {"Data": "Large"},
                "Body": {"Html": {"Data": "<a href='https://example.com/'>x</a>"}},
                "Attachments": [{"FileName": "a.bin", "RawContent": os.urandom(7_000_000)}],
            }
        },
        ConfigurationSetName=name,
    )
    [link] = hrefs(html_of(service.arrived()))
    assert service.request(link).location == "https://example.com/"
