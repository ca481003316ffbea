"""A running service uses nothing of its dependencies that they are about to take away."""

import json
from pathlib import Path

from support.service import Service, email_with, hrefs, html_of
from support.ses import access_key, ses_client
from support.visitor import Visitor, account


def test_nothing_that_is_used_is_deprecated(tmp_path: Path) -> None:
    warn = {"PYTHONWARNINGS": "always::DeprecationWarning,always::PendingDeprecationWarning"}
    with Service(tmp_path, environment=warn) as service:
        name = service.configuration_set()
        page = '<a href="http://b\u00fccher.example/\u00e9?a=\u00e9">x</a>'
        [link] = hrefs(html_of(service.send(email_with(page, name))))
        assert service.request(link).status == 302
        service.wait_for_clicks(name, 1)
        ses = ses_client(service, access_key(service, "send", "manage"))
        try:
            ses.create_email_identity(EmailIdentity="b\u00fccher.example")
            template = {"TemplateContent": {"Subject": "{{a}}", "Text": "{{a}}"}}
            ses.send_email(
                FromEmailAddress="a@b\u00fccher.example",
                Destination={"ToAddresses": ["c@d.example"]},
                Content={"Template": template | {"TemplateData": json.dumps({"a": "b"})}},
            )
        finally:
            ses.close()
        with Visitor(service) as visitor:
            token = account(service, "an administrator", "administrator")
            assert visitor.welcome(token).status_code == 303
            assert visitor.client.get("/?since=2026-01-01").status_code == 200
        service.stop()
        log = service.log.read_text("utf-8")
    assert "DeprecationWarning" not in log, log
