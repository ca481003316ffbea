"""The real SES clients, run as applications run them: programs of their own, over HTTP."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.service import Service
from support.ses import access_key

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = ROOT / "tests" / "clients" / "programs"
REGION = "eu-central-1"
SCOPES = ("send", "manage", "read")
PATIENCE = 60.0
CLI_REFUSED = 255
"""The exit status of AWS CLI 1 for an error that the service answered."""


def installed(name: str) -> Path:
    """Return the folder of an installed client; it is installed first where it has to be.

    Skips the test where that is impossible on this machine: Node.js is not there.
    """
    if name in ("node", "axe") and not (shutil.which("node") and shutil.which("npm")):
        pytest.skip(f"NOT TESTED: what needs {name}, because node and npm are not here")
    folder: Path = runpy.run_path(str(ROOT / "tools" / "client_venvs.py"))["client_environment"](
        name
    )
    return folder


def environment_for(service: Service, scopes: Sequence[str] = SCOPES) -> dict[str, str]:
    """Return all that an application has to be told: the endpoint, and a new access key."""
    key_id, secret = access_key(service, *scopes)
    return {
        "AWS_ENDPOINT_URL_SESV2": f"http://127.0.0.1:{service.api}",
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        # What every user of these clients has already, wherever the endpoint is.
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    stdin: str | None = None,
    status: int = 0,
) -> str:
    """Run a client that must end with a status; return its output, or what it says is wrong.

    Nothing of this machine's AWS settings, proxies or Python reaches it.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    done = subprocess.run(
        [str(word) for word in command],
        env={**kept, **nowhere, "AWS_EC2_METADATA_DISABLED": "true", **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == status, f"{command[:3]}: {done.stdout}\n{done.stderr}"
    return done.stderr if status else done.stdout


@dataclass(frozen=True)
class Client:
    """A client whose program takes the steps of a round as its arguments."""

    name: str
    command: tuple[str | Path, ...]
    environment: dict[str, str]

    def do(self, *arguments: str, stdin: str | None = None) -> Any:
        """Take a step; return what the program answers."""
        return json.loads(run((*self.command, *arguments), self.environment, stdin))

    def send(self, name: str, stream: str, domain: str, html: str) -> str:
        """Prepare a configuration set, send an email with it; return the message id."""
        message_id: str = self.do("send", name, stream, domain, html)["messageId"]
        return message_id

    def clicks(self, name: str) -> int:
        """Return the metric of a configuration set."""
        clicks: float = self.do("metric", name)["click"]
        return int(clicks)

    def tour(self, name: str, address: str) -> Any:
        """Call what a round does not; return what was seen."""
        return self.do("tour", name, address)

    def leave(self, name: str, domain: str) -> bool:
        """Make a contact list, send an email for it; return whether its reader is off it."""
        found: bool = self.do("leave", name, domain)["unsubscribed"]
        return found

    def bulk(self, name: str, domain: str) -> list[str]:
        """Write to somebody and to a suppressed address; return what became of each."""
        found: list[str] = self.do("bulk", name, domain)
        return found

    def account(self) -> Any:
        """Return whether the account may send, or the name of the error."""
        return self.do("account")


class AwsCli(Client):
    """The AWS CLI, typed as an operator types it."""

    def aws(self, *words: str) -> Any:
        """Run ``aws sesv2 …``; return its answer."""
        answer = run((*self.command, "sesv2", *words, "--output", "json"), self.environment)
        return json.loads(answer) if answer.strip() else None

    def send(self, name: str, stream: str, domain: str, html: str) -> str:
        """See `Client.send`."""
        self.aws("create-configuration-set", "--configuration-set-name", name)
        firehose = {"IamRoleArn": "arn:aws:iam::000000000000:role/s", "DeliveryStreamArn": stream}
        destination = {"Enabled": True, "MatchingEventTypes": ["CLICK"]}
        self.aws(
            "create-configuration-set-event-destination",
            *("--configuration-set-name", name),
            *("--event-destination-name", "clicks"),
            *(
                "--event-destination",
                json.dumps(destination | {"KinesisFirehoseDestination": firehose}),
            ),
        )
        self.aws("create-email-identity", "--email-identity", domain)
        assert name in self.aws("list-configuration-sets")["ConfigurationSets"]
        content = {"Simple": {"Subject": {"Data": "Grüße"}, "Body": {"Html": {"Data": html}}}}
        answer = self.aws(
            "send-email",
            *("--from-email-address", f"News <news@{domain}>"),
            *("--destination", "ToAddresses=reader@gmail.com"),
            *("--content", json.dumps(content)),
            *("--configuration-set-name", name),
            *("--email-tags", "Name=campaign,Value=summer"),
        )
        message_id: str = answer["MessageId"]
        return message_id

    def tour(self, name: str, address: str) -> Any:
        """See `Client.tour`."""
        identity = ("--email-identity", address)
        arn = ("--resource-arn", f"arn:aws:ses:{REGION}:000000000000:identity/{address}")
        named = ("--configuration-set-name", name)
        self.aws("create-email-identity", *identity)
        tags = ("Key=a b,Value=Grüße & mehr/=?", "Key=x+y,Value=1")
        self.aws("tag-resource", *arn, "--tags", *tags)
        self.aws("untag-resource", *arn, "--tag-keys", "x+y")
        self.aws("create-configuration-set", *named)
        self.aws(
            "put-configuration-set-tracking-options",
            *named,
            *("--custom-redirect-domain", "click.example.com"),
        )
        self.aws(
            "put-configuration-set-vdm-options",
            *named,
            *("--vdm-options", "DashboardOptions={EngagementMetrics=ENABLED}"),
        )
        self.aws("put-email-identity-configuration-set-attributes", *identity, *named)
        self.aws("put-configuration-set-sending-options", *named, "--no-sending-enabled")
        found = self.aws("get-configuration-set", *named)
        seen = {
            "type": self.aws("get-email-identity", *identity)["IdentityType"],
            "tags": self.aws("list-tags-for-resource", *arn)["Tags"],
            "redirect": found["TrackingOptions"]["CustomRedirectDomain"],
            "engagement": found["VdmOptions"]["DashboardOptions"]["EngagementMetrics"],
            "paused": self.error(
                "send-email",
                *("--from-email-address", address),
                *("--destination", "ToAddresses=reader@gmail.com"),
                *("--content", "Simple={Subject={Data=x},Body={Text={Data=x}}}"),
            ),
            "missing": self.error("get-dedicated-ip-pool", "--pool-name", name),
        }
        self.aws("delete-email-identity", *identity)
        self.aws("delete-configuration-set", *named)
        return seen

    def leave(self, name: str, domain: str) -> bool:
        """See `Client.leave`."""
        named = ("--contact-list-name", name)
        reader = (*named, "--email-address", "reader@gmail.com")
        self.aws("create-contact-list", *named)
        self.aws("create-contact", *reader)
        html = '<a href="{{amazonSESUnsubscribeUrl}}">off</a>'
        content = {"Simple": {"Subject": {"Data": "x"}, "Body": {"Html": {"Data": html}}}}
        self.aws(
            "send-email",
            *("--from-email-address", f"news@{domain}"),
            *("--destination", "ToAddresses=reader@gmail.com"),
            *("--content", json.dumps(content)),
            *("--list-management-options", f"ContactListName={name}"),
        )
        found: bool = self.aws("get-contact", *reader)["UnsubscribeAll"]
        return found

    def bulk(self, name: str, domain: str) -> list[str]:
        """See `Client.bulk`."""
        gone = f"gone@{domain}"
        self.aws(
            "create-email-template",
            *("--template-name", name),
            "--template-content",
            json.dumps({"Subject": "Hi {{name}}", "Html": "<p>{{name}}</p>"}),
        )
        self.aws("put-suppressed-destination", "--email-address", gone, "--reason", "BOUNCE")
        listed = self.aws("list-suppressed-destinations")["SuppressedDestinationSummaries"]
        assert gone in [each["EmailAddress"] for each in listed]
        template = {"TemplateName": name, "TemplateData": '{"name": "you"}'}
        readers = ("reader@gmail.com", gone)
        answer = self.aws(
            "send-bulk-email",
            *("--from-email-address", f"news@{domain}"),
            *("--default-content", json.dumps({"Template": template})),
            "--bulk-email-entries",
            json.dumps([{"Destination": {"ToAddresses": [each]}} for each in readers]),
        )
        return [each["Status"] for each in answer["BulkEmailEntryResults"]]

    def account(self) -> Any:
        """See `Client.account`."""
        return {"error": self.error("get-account")}

    def error(self, *words: str) -> str:
        """Run a command that the service must refuse; return the name of the error."""
        told = run((*self.command, "sesv2", *words), self.environment, status=CLI_REFUSED)
        found = re.search(r"An error occurred \((\w+)\)", told)
        assert found is not None, told
        return found[1]

    def clicks(self, name: str) -> int:
        """See `Client.clicks`."""
        now = datetime.now(UTC)
        query = {
            "Id": "click",
            "Namespace": "VDM",
            "Metric": "CLICK",
            "Dimensions": {"CONFIGURATION_SET": name},
            "StartDate": f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
            "EndDate": f"{now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
        }
        [result] = self.aws("batch-get-metric-data", "--queries", json.dumps([query]))["Results"]
        return sum(result["Values"])


def boto3_of_this_project(service: Service) -> Client:
    """Return the newest boto3, which is in the environment of the tests."""
    program = PROGRAMS / "with_boto3.py"
    return Client("boto3", (sys.executable, program), environment_for(service))


def client(name: str, service: Service) -> Client:
    """Return a client by name; it is installed first where it has to be."""
    environment = environment_for(service)
    match name:
        case "boto3-1.34":
            python = installed(name) / "bin" / "python"
            return Client(name, (python, PROGRAMS / "with_boto3.py"), environment)
        case "awscli":
            return AwsCli(name, (installed(name) / "bin" / "aws",), environment)
        case "anymail" | "django-ses":
            python = installed("django") / "bin" / "python"
            return Client(name, (python, PROGRAMS / "with_django.py", name), environment)
        case "sdk" | "nodemailer":
            modules = {"NODE_PATH": str(installed("node") / "node_modules")}
            program = PROGRAMS / "with_node.cjs"
            return Client(name, ("node", program, name), environment | modules)
        case _:
            raise KeyError(name)
