"""The help of commands that take every setting: grouped by topic, what matters most first."""

from typing import Any

from typer.core import TyperCommand

FIRST = "What you need first"
_FIRST = (
    "data",
    "smarthost.url",
    "smarthost.username",
    "smtp.listen",
    "tracking.host",
    "redirect.listen",
)
_TOPICS = {
    "smarthost": "Your mail server",
    "smtp": "Emails coming in",
    "milter": "Emails coming in",
    "identities": "Emails coming in",
    "tracking": "Tracking links and clicks",
    "redirect": "Tracking links and clicks",
    "acme": "Certificates for https",
    "machine": "Clicks of machines",
    "privacy": "Privacy",
    "retention": "Privacy",
    "api": "API, console, metrics",
    "console": "API, console, metrics",
    "metrics": "API, console, metrics",
    "publish": "Notifications",
    "webhook": "Notifications",
    "kinesis": "Data streams: Kinesis, Firehose",
    "kafka": "Data streams: Kafka",
    "nats": "Data streams: NATS",
    "store": "Several nodes",
    "journal": "Several nodes",
    "node": "Several nodes",
    "log": "Log",
}


def topic(setting: str) -> str | None:
    """Return the heading under which a setting stands; ``None`` for none of its own."""
    return FIRST if setting in _FIRST else _TOPICS.get(setting.partition(".")[0])


class ByTopic(TyperCommand):
    """A command whose options stand under the headings that they name (``rich_help_panel``)."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, the first six before all others."""
        order = [FIRST, "Options", *dict.fromkeys(_TOPICS.values())]
        found: dict[str, list[tuple[str, str]]] = {heading: [] for heading in order}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                found[getattr(parameter, "rich_help_panel", None) or "Options"].append(record)
        for heading, records in found.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
