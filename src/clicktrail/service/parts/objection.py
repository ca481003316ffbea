"""What this installation's settings have against an event destination."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from clicktrail.base.arn import Arn, Kind, parse_arn
from clicktrail.publish.destinations.guard import AddressGuard
from clicktrail.settings.settings import Settings


def why_not_called(arn: Arn, settings: Settings) -> str:
    """Return why a webhook would not be called, as far as its URL tells; empty where it may be.

    Names are not resolved, but for those that always stand for this machine (RFC 6761 § 6.3).
    """
    url = urlsplit(arn.name)
    host = (url.hostname or "").rstrip(".").lower()
    local = host == "localhost" or host.endswith(".localhost")
    guard = AddressGuard(settings["webhook.allow"])
    try:
        addresses = [ip_address(each) for each in (("127.0.0.1", "::1") if local else (host,))]
    except ValueError:
        return ""  # a name
    if any(map(guard.is_allowed, addresses)):
        return ""
    if not any(map(guard.is_callable, addresses)):
        return (
            f"{arn.host} is not called: addresses that are not public must be listed in"
            " webhook.allow, of the service too"
        )
    if url.scheme == "http":
        return f"{arn.host} is not called: without https only networks listed in webhook.allow are"
    return ""


def objection(settings: Settings, arn: str) -> str:
    """Return why events are not sent to an ARN, as far as it tells; empty where they may be."""
    found = parse_arn(arn)
    return why_not_called(found, settings) if found.kind is Kind.WEBHOOK else ""
