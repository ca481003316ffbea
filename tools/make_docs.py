"""Write the documents that are made from the code: settings, commands, the API's operations.

python tools/make_docs.py
"""

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer

from clicktrail.cli import build
from clicktrail.ingress.sesv2.missing import NOT_HERE
from clicktrail.ingress.sesv2.operations import BASE, Operation
from clicktrail.service.house import House
from clicktrail.service.parts.store import open_store
from clicktrail.service.roles.api import operations
from clicktrail.settings.settings import Settings
from clicktrail.settings.table import SETTINGS

DOCS = Path(__file__).resolve().parent.parent / "docs"
MARK = "<!-- made by `make docs` from here on -->\n"
"""Where the part of a page begins that is made from the code."""

KEPT = "Kept and given back; it changes nothing."
SAME = "As in SES."
TAGGED = "Of configuration sets, identities, contact lists and templates."
DIFFERENCES = {
    "BatchGetMetricData": "`Namespace` `VDM`; metrics `SEND`, `CLICK`, `OPEN`, `UNSUBSCRIBE` (which"
    " SES has not), and `DELIVERY_CLICK` as the same as `CLICK`, by day (UTC); every other metric"
    " is an item of `Errors`. Dimensions"
    " `CONFIGURATION_SET`, `EMAIL_IDENTITY`, `ISP` (Yandex, Google, Mail.Ru Group, Microsoft,"
    " Other). Counted at once, not hours later.",
    "CreateConfigurationSet": "`TrackingOptions` (domain and `HttpsPolicy`),"
    " `VdmOptions.DashboardOptions.EngagementMetrics`, `SendingOptions` and `Tags` do what they"
    " say, and so do the `SuppressedReasons` of `SuppressionOptions`; what else is in there,"
    " `DeliveryOptions`, `ReputationOptions`, `ArchivingOptions` and"
    " `GuardianOptions` are kept and given back, and change nothing. `REQUIRE_OPEN_ONLY` is like"
    " `OPTIONAL` for links. `MessageSecurityOptions` may hold the `DefaultScheme`; the"
    " `SmimeScheme` is refused.",
    "CreateConfigurationSetEventDestination": "`KinesisFirehoseDestination.DeliveryStreamArn`"
    " names any kind of destination, see above; `IamRoleArn` is kept and given back. `Sns`-,"
    " `CloudWatch`-, `EventBridge`- and `PinpointDestination` are refused. `SEND`, `CLICK`,"
    " `OPEN`, `RENDERING_FAILURE` and, our own, `VERDICT_CHANGED` happen; others are kept, and"
    " never come.",
    "CreateEmailIdentity": "A domain or an address, good for sending at once: nobody has to be"
    " asked whether it is yours. It is signed with DKIM where `DkimSigningAttributes` are given.",
    "CreateContact": SAME,
    "CreateContactList": "[Contact lists](unsubscribe.md#contact-lists) may be any number.",
    "DeleteContact": "What they have unsubscribed from is forgotten too.",
    "DeleteContactList": SAME,
    "GetContact": "An address in any letter case.",
    "GetContactList": SAME,
    "ListContactLists": SAME,
    "ListContacts": "By address. Who has unsubscribed from the list is none of the `OPT_IN` of a"
    " topic.",
    "UpdateContact": "`TopicPreferences` replace all there were, as in SES; where they are not"
    " given, they stay.",
    "UpdateContactList": "What is not given stays.",
    "CreateEmailTemplate": "A subject, and text, HTML or both, of 500 KiB together; whether they"
    " can be rendered shows with the data. 20,000 templates. `Tags` are kept and given back.",
    "DeleteConfigurationSet": "Links that were sent keep working.",
    "DeleteConfigurationSetEventDestination": SAME,
    "DeleteEmailIdentity": SAME,
    "GetAccount": "No quotas: `Max24HourSend` is -1, `MaxSendRate` a million. `SentLast24Hours` is"
    " what was sent since midnight (UTC).",
    "DeleteEmailTemplate": SAME,
    "DeleteSuppressedDestination": SAME,
    "GetConfigurationSet": SAME,
    "GetConfigurationSetEventDestinations": SAME,
    "GetEmailTemplate": SAME,
    "GetEmailIdentity": "Always verified. No MAIL FROM domain, no policies.",
    "GetSuppressedDestination": "No `Attributes`: nobody is put on the list by an email.",
    "ListSuppressedDestinations": "By address. `Reason` may be `UNSUBSCRIBE` too.",
    "PutAccountSuppressionAttributes": "`ValidationAttributes` are kept and given back.",
    "PutSuppressedDestination": "[A recipient on the list](suppression.md) is refused"
    " (`MessageRejected`); SES takes the email and tells of a bounce. Addresses are kept in lower"
    " case. `Reason` may be `UNSUBSCRIBE` too.",
    "ListConfigurationSets": "`Filter` is refused.",
    "ListEmailIdentities": "`Filter` is refused.",
    "ListEmailTemplates": "By name.",
    "ListTagsForResource": TAGGED + " Region and account of the ARN may be any.",
    "PutConfigurationSetArchivingOptions": KEPT,
    "PutConfigurationSetDeliveryOptions": KEPT,
    "PutConfigurationSetReputationOptions": KEPT,
    "PutConfigurationSetSendingOptions": SAME,
    "PutConfigurationSetSuppressionOptions": "`SuppressedReasons` say which reasons on the list"
    " keep emails of the set back; without them, the account's. `SuppressionScope` and"
    " `ValidationOptions` are kept and given back.",
    "PutConfigurationSetTrackingOptions": "The domain has to lead here: `clicktrail domain check`."
    " `REQUIRE_OPEN_ONLY` is like `OPTIONAL` for links.",
    "PutConfigurationSetVdmOptions": "`EngagementMetrics` turns engagement statistics on and off;"
    " `GuardianOptions` are kept and given back.",
    "PutEmailIdentityDkimAttributes": "Signing rests or goes on; the key stays.",
    "PutEmailIdentityDkimSigningAttributes": "A key made here (`AWS_SES`) is published as one TXT"
    " record, which `clicktrail identity dkim show` shows, not as three CNAMEs; it is used at"
    " once.",
    "PutEmailIdentityConfigurationSetAttributes": SAME,
    "SendBulkEmail": "[Each entry is an email of its own](sending.md#many-emails-at-once), with"
    " SES's names of what became of it. 50 entries and 500 recipients. Passed over is what"
    " `SendEmail` passes over.",
    "SendEmail": "`Simple`, `Raw`, or `Template` with `TemplateContent`, `TemplateName` or"
    " `TemplateArn`. `ListManagementOptions` may name a list that was not made. A `Raw` email keeps"
    " its own"
    " `From`. The answer comes when your mail server has taken the email, so"
    " what it refuses is told at once (`MessageRejected`). `EndpointId`,"
    " `TenantName`, `FromEmailAddressIdentityArn` and `FeedbackForwardingEmailAddressIdentityArn`"
    " are passed over. `EmailTags` and `Headers` have at most 100 entries each.",
    "TagResource": TAGGED,
    "TestRenderEmailTemplate": "`RenderedTemplate` has neither `From` nor `To`.",
    "UntagResource": TAGGED,
    "UpdateConfigurationSet": "`MessageSecurityOptions` may hold the `DefaultScheme`; the"
    " `SmimeScheme` is refused: emails are not signed with S/MIME here.",
    "UpdateConfigurationSetEventDestination": "What is not given stays as it is.",
    "UpdateEmailTemplate": "Parts that are not given go.",
}
"""What differs from SES, for each operation that is here."""

POSTBOX = frozenset(
    {
        *("CreateConfigurationSet", "DeleteConfigurationSet", "GetConfigurationSet"),
        *("ListConfigurationSets", "PutConfigurationSetDeliveryOptions"),
        "PutConfigurationSetSuppressionOptions",
        "CreateConfigurationSetEventDestination",
        "DeleteConfigurationSetEventDestination",
        "GetConfigurationSetEventDestinations",
        "UpdateConfigurationSetEventDestination",
        *("CreateEmailIdentity", "DeleteEmailIdentity", "GetEmailIdentity", "ListEmailIdentities"),
        *("PutEmailIdentityConfigurationSetAttributes", "PutEmailIdentityDkimAttributes"),
        *("DeleteSuppressedDestination", "GetSuppressedDestination"),
        *("ListSuppressedDestinations", "PutSuppressedDestination"),
        *("SendBulkEmail", "SendEmail"),
    }
)
"""Operations that Yandex Cloud Postbox documents ("Amazon API methods", 2026)."""


def settings_page() -> str:
    """Return ``docs/settings.md``."""
    lines = [
        "# Settings",
        "",
        "Made from `src/clicktrail/settings/table.py` by `make docs`. A setting is given in"
        " `clicktrail.toml` (or the file named by `--config` or `CLICKTRAIL_CONFIG`), in the"
        " environment, or as a flag of `clicktrail serve`; the later wins. In the file,"
        " `smtp.listen` is the key `listen` of the table `[smtp]`; lists may be written as lists."
        " `clicktrail settings` shows the values in force and where each was given. A setting that"
        " is unknown, or whose value cannot be used, is refused at start, with its name, the value"
        " and what is expected.",
        "",
        "A secret (a password, a token, a URL with a login) had better not be a flag: other users"
        " of the machine see it in `ps`, and `serve` warns of it. Each has a setting of the same"
        " name with `_file`, for a file that holds it: see"
        " [Secrets](operations.md#secrets).",
        "",
        "| setting | default | expected | meaning | flag | environment |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{s.name}` | {f'`{s.default}`' if s.default else ''} | {s.kind.expects} | {s.help} |"
        f" `{s.flag}` | `{s.environment}` |"
        for s in SETTINGS
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return ``docs/commands.md``."""
    lines = [
        "# Commands",
        "",
        "Made from `src/clicktrail/commands/` by `make docs`. Every command has `--help` (`-h`),"
        " and takes `--config FILE` and `--data FOLDER`. Those that show something take `--json`."
        " All but `serve` need the data folder of a service that was started once.",
        "",
        "| command | does |",
        "| --- | --- |",
    ]
    lines += [f"| `clicktrail {name}` | {text} |" for name, text in all_commands(build())]
    lines += [
        "",
        "`event-destination` and `engagement-statistics` are also reached as"
        " `configuration-set event-destination` and `configuration-set engagement-statistics`.",
        "",
        "`clicktrail --install-completion` teaches the shell that it is called from (bash, zsh,"
        " fish) to complete commands and options; `--show-completion` shows the lines for it.",
        "",
        "Exit status: 0, it worked; 1, it did not, and one line on standard error says why; 2, the"
        " command line is wrong; 130, Ctrl-C; 141, whoever read the output has gone.",
    ]
    return "\n".join(lines) + "\n"


def sesv2_page() -> str:
    """Return ``docs/sesv2.md``: its text as it is written, its tables made anew."""
    written = (DOCS / "sesv2.md").read_text(encoding="utf-8").partition(MARK)[0]
    rows: dict[str, list[Operation]] = {}
    for operation in asyncio.run(every_operation()):
        rows.setdefault(operation.name, []).append(operation)
    if untold := rows.keys() - DIFFERENCES.keys():
        raise LookupError(f"say in DIFFERENCES how these differ from SES: {sorted(untold)}")
    if lacking := POSTBOX - rows.keys():
        raise LookupError(f"Postbox has what is not here: {sorted(lacking)}")
    missing: dict[str, list[str]] = {}
    for (method, path), name in NOT_HERE.items():
        missing.setdefault(name, []).append(f"`{method} {BASE}{path}`")
    lines = [
        f"## Here: {len(rows)} operations",
        "",
        "| operation | request | needs | Postbox has it | what differs from SES |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, same in sorted(rows.items()):
        requests = " or ".join(f"`{each.method} {BASE}{each.path}`" for each in same)
        scopes = " or ".join(f"`{each}`" for each in (same[0].scope, *sorted(same[0].other_scopes)))
        theirs = "yes" if name in POSTBOX else ""
        lines.append(f"| {name} | {requests} | {scopes} | {theirs} | {DIFFERENCES[name]} |")
    lines += [
        "",
        f"## Answered 501: {len(missing)} operations",
        "",
        "With `NotImplementedException` and a message that names the operation; clients do not try"
        " again.",
        "",
        "| operation | request |",
        "| --- | --- |",
    ]
    lines += [f"| {name} | {' or '.join(found)} |" for name, found in sorted(missing.items())]
    return "\n".join([written + MARK, *lines]) + "\n"


async def every_operation() -> list[Operation]:
    """Return the operations that a service has."""
    with TemporaryDirectory() as folder:
        given = {"data": folder, "smarthost.url": f"maildir:{folder}/mailbox"}
        house = House(Settings({name: (text, "docs") for name, text in given.items()}), ())
        try:
            return operations(house, await open_store(house))
        finally:
            await house.close()


def all_commands(
    app: typer.Typer, prefix: str = "", known: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str]]:
    """Yield each command's name and first sentence; a group with two names, by the short one."""
    own = app.registered_callback
    if prefix and own is not None and own.invoke_without_command is True:
        yield prefix.strip(), (inspect.getdoc(own.callback) or "").partition("\n")[0]
    for command in app.registered_commands:
        callback: Any = command.callback
        first = (inspect.getdoc(callback) or "").partition("\n")[0]
        yield f"{prefix}{command.name or callback.__name__}", first
    names = frozenset(str(group.name) for group in app.registered_groups)
    for group in app.registered_groups:
        if group.typer_instance is not None and str(group.name) not in known:
            yield from all_commands(group.typer_instance, f"{prefix}{group.name} ", known | names)


if __name__ == "__main__":
    (DOCS / "settings.md").write_text(settings_page(), encoding="utf-8")
    (DOCS / "commands.md").write_text(commands_page(), encoding="utf-8")
    (DOCS / "sesv2.md").write_text(sesv2_page(), encoding="utf-8")
