"""Access keys sign in by SMTP too."""

import smtplib
from pathlib import Path

import pytest

from clicktrail.ingress.smtp.auth import smtp_password
from support.service import PATIENCE, Service, email_with
from support.ses import access_key


def login(service: Service, name: str, password: str) -> int:
    with smtplib.SMTP("127.0.0.1", service.smtp, timeout=PATIENCE) as client:
        client.ehlo()
        try:
            code, _ = client.login(name, password)
        except smtplib.SMTPAuthenticationError as refused:
            return refused.smtp_code
        if code == 235:
            client.sendmail("a@example.com", ["b@gmail.com"], email_with("x").as_bytes())
            service.arrived()
        return code


def test_an_access_key_sends_with_its_secret_or_a_password_that_ses_would_derive(
    service: Service,
) -> None:
    key_id, secret = access_key(service, "send")
    assert login(service, key_id, secret) == 235
    for region in ("us-east-1", "eu-central-1", "ru-central1"):
        assert login(service, key_id, smtp_password(secret, region)) == 235
    assert login(service, key_id, secret[:-1]) == 535
    assert login(service, key_id, smtp_password(secret, "mars-north-1")) == 535


@pytest.mark.parametrize("scope", ["read", "manage"])
def test_a_key_that_may_not_send_does_not_sign_in(service: Service, scope: str) -> None:
    assert login(service, *access_key(service, scope)) == 535


def test_a_key_that_is_off_does_not_sign_in(service: Service) -> None:
    key_id, secret = access_key(service, "send")
    service.cli("access-key", "disable", key_id)
    assert login(service, key_id, secret) == 535


def test_a_session_ends_when_its_key_is_switched_off(tmp_path: Path) -> None:
    with (
        Service(tmp_path, "--smtp-allow", "192.0.2.0/24") as own,
        smtplib.SMTP("127.0.0.1", own.smtp, timeout=PATIENCE) as client,
    ):
        key_id, secret = access_key(own, "send")
        client.login(key_id, secret)
        client.sendmail("a@example.com", ["b@gmail.com"], email_with("x").as_bytes())
        own.cli("access-key", "disable", key_id)
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.sendmail("a@example.com", ["b@gmail.com"], email_with("x").as_bytes())
        assert refused.value.smtp_code == 530
