"""vault-key is gone, or another one: it is told, people click on, nothing is refused for good."""

import json
import smtplib
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from service.test_monitor import ask
from support.service import Service, email_with, hrefs, html_of, wait_for

PATIENCE = 120.0
HTML = '<a href="http://a.example/x">x</a>'


def why(service: Service) -> dict[str, str]:
    status, body = ask(service, "/readyz")
    return dict(json.loads(body)["why"]) if status == 503 else {}


def call(service: Service, key: dict[str, str]) -> Any:
    return boto3.client(
        "sesv2",
        endpoint_url=f"http://127.0.0.1:{service.api}",
        region_name="eu-central-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        config=Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE),
    ).list_configuration_sets()


@pytest.mark.parametrize(
    ("content", "embedded"),
    [
        (b"", True),
        (b"A" * 87 + b"\n", False),
        pytest.param(b"", False, marks=pytest.mark.long),
        pytest.param(b"A" * 87 + b"\n", True, marks=pytest.mark.long),
        pytest.param(b"\xff\xfe" * 44, True, marks=pytest.mark.long),
        pytest.param(b"\xff\xfe" * 44, False, marks=pytest.mark.long),
    ],
)
def test_a_damaged_vault_key_is_told_and_clicks_go_on_until_it_is_put_back(
    tmp_path: Path, content: bytes, embedded: bool
) -> None:
    service = Service(tmp_path, embedded=embedded)
    path = service.data / "vault-key"
    with service:
        name = service.configuration_set()
        key = json.loads(service.cli("access-key", "create", "--scope", "manage", "--json"))
        [link] = hrefs(html_of(service.send(email_with(HTML, name))))
    backup = path.read_bytes()
    path.write_bytes(content)
    with service:
        told = wait_for(lambda: why(service).get("vault-key"), "a problem", PATIENCE)
        assert f"{path} cannot be used" in told
        assert service.request(link).status == 302
        assert service.send(email_with(HTML, name)), "it is not signed, and needs no key"
        with pytest.raises(ClientError) as failed:
            call(service, key)
        assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert path.read_bytes() == content, "it is left as it was"
        path.write_bytes(backup)
        assert call(service, key), "it is read again"
        wait_for(lambda: not why(service) or None, "a ready service", PATIENCE)


@pytest.mark.parametrize("embedded", [pytest.param(True, marks=pytest.mark.long), False])
def test_a_lost_vault_key_is_told_and_clicks_go_on(tmp_path: Path, embedded: bool) -> None:
    service = Service(tmp_path, embedded=embedded)
    path = service.data / "vault-key"
    with service:
        name = service.configuration_set()
        key = json.loads(service.cli("access-key", "create", "--scope", "manage", "--json"))
        pem = tmp_path / "dkim.pem"
        pem.write_bytes(
            rsa.generate_private_key(65537, 2048).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        service.cli("identity", "create", "example.com")
        service.cli("identity", "dkim", "set", "example.com", "--selector", "s", "--key", str(pem))
        sent = service.send(email_with(HTML, name))
        assert b"DKIM-Signature" in sent
        assert call(service, key)
        # Gone while it runs: it goes on with what it has read, and says so.
        backup = path.read_bytes()
        path.unlink()
        wait_for(lambda: "vault-key" in why(service) or None, "a problem", PATIENCE)
        assert b"DKIM-Signature" in service.send(email_with(HTML, name))
        assert not path.exists(), "a new one helps nobody"
    with service:
        told = wait_for(lambda: why(service).get("vault-key"), "a problem", PATIENCE)
        assert str(path) in told
        assert "example.com" in told
        assert key["AccessKeyId"] in told
        assert ask(service, "/readyz/redirect")[0] == 200
        assert service.request(hrefs(html_of(sent))[0]).status == 302
        with pytest.raises(smtplib.SMTPDataError) as refused:
            service.send(email_with(HTML, name))
        assert refused.value.smtp_code == 451
        with pytest.raises(ClientError) as failed:
            call(service, key)
        assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        with smtplib.SMTP("127.0.0.1", service.smtp) as client:
            client.ehlo()
            with pytest.raises(smtplib.SMTPAuthenticationError) as put_off:
                client.login(key["AccessKeyId"], key["SecretAccessKey"])
        assert put_off.value.smtp_code == 454
        done = subprocess.run(service.command("check"), capture_output=True, text=True)
        assert done.returncode == 1
        assert "sealed" in done.stdout
    path.write_bytes(backup)
    with service:
        assert b"DKIM-Signature" in service.send(email_with(HTML, name))
        assert call(service, key)
        assert not why(service)
        done = subprocess.run(service.command("check"), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_who_has_lost_it_for_good_makes_keys_anew(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with service:
        key = json.loads(service.cli("access-key", "create", "--json"))
    (service.data / "vault-key").unlink()
    with service:
        wait_for(lambda: "vault-key" in why(service) or None, "a problem", PATIENCE)
        new = json.loads(service.cli("access-key", "create", "--scope", "manage", "--json"))
        assert call(service, new)
        service.cli("access-key", "disable", key["AccessKeyId"])
        wait_for(lambda: not why(service) or None, "a ready service", PATIENCE)
