"""``clicktrail identity dkim``: the keys with which emails are signed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clicktrail.base.complaints import complaint
from clicktrail.base.redact import reason_of
from clicktrail.commands.shared.common import (
    Json,
    Yes,
    confirm,
    print_json,
    settings_of,
    with_store,
)
from clicktrail.errors import InvalidInput, NotFound
from clicktrail.keys.dkim import (
    SIZE,
    dns_record,
    generate,
    new_selector,
    purpose,
    read_private,
    size_of,
)
from clicktrail.model import Dkim, Identity
from clicktrail.service.parts.folder import data_folder, vault

if TYPE_CHECKING:
    from clicktrail.store import Store

dkim = typer.Typer(no_args_is_help=True, help="DKIM keys: emails of the identity are signed.")

Name = Annotated[str, typer.Argument(help="A domain or an address.")]
LOOKUP_SECONDS = 10.0


@dkim.command("generate")
def generate_key(
    context: typer.Context,
    name: Name,
    selector: Annotated[str | None, typer.Option(help="Selector; a new one if none.")] = None,
    bits: Annotated[int, typer.Option(min=1024, max=4096, help="Size of the key.")] = SIZE,
) -> None:
    """Make a DKIM key for an identity, and show the DNS record to publish."""
    _give(context, name, selector or new_selector(), generate(bits), "AWS_SES")


@dkim.command("set")
def set_key(
    context: typer.Context,
    name: Name,
    selector: Annotated[str, typer.Option(help="Selector of its DNS record.")],
    key: Annotated[Path, typer.Option(help="File with the private RSA key (PEM).")],
) -> None:
    """Give an identity a DKIM key that you have, and show its DNS record."""
    try:
        text = key.read_bytes()
    except OSError as error:
        raise InvalidInput(f"--key {key} cannot be read: {complaint(error, key)}") from None
    _give(context, name, selector, read_private(text), "EXTERNAL")


@dkim.command("show")
def show(
    context: typer.Context,
    name: Name,
    check: Annotated[bool, typer.Option("--check", help="Look the record up in DNS.")] = False,
    as_json: Json = False,
) -> None:
    """Show the DNS record of an identity's key; with --check, whether it is published."""
    found, key = _with_key(context, name)
    private = vault(data_folder(settings_of(context))).open(key.sealed, purpose(found.name))
    host, record = _host(found, key), dns_record(private)
    problem = _looked_up(host, record) if check else ""
    if as_json:
        shown: dict[str, object] = {
            "name": host,
            "type": "TXT",
            "value": record,
            "bits": size_of(private),
            "signing": key.enabled,
        }
        print_json(shown | ({"problem": problem or None} if check else {}))
    else:
        _print_record(host, record)
        if check and not problem:
            typer.echo("The record is published.")
    if problem:
        raise InvalidInput(problem)


@dkim.command("remove")
def remove(context: typer.Context, name: Name, yes: Yes = False) -> None:
    """Take the DKIM key from an identity: its emails are no longer signed."""
    _with_key(context, name)
    confirm(f"Remove the DKIM key of {name}?", yes)
    with_store(context, lambda store: store.configuration.set_dkim(name, None))
    typer.echo(f"Emails of {name} are no longer signed.")


def _with_key(context: typer.Context, name: str) -> tuple[Identity, Dkim]:
    """Return an identity and its key. Raises `NotFound`."""
    found = with_store(context, lambda store: store.configuration.get_identity(name))
    if found.dkim is None:
        raise NotFound(
            f"identity {found.name} has no DKIM key: clicktrail identity dkim generate {found.name}"
        )
    return found, found.dkim


def _give(context: typer.Context, name: str, selector: str, private: bytes, origin: str) -> None:
    safe = vault(data_folder(settings_of(context)))

    async def give(store: "Store") -> tuple[Identity, Dkim]:
        found = await store.configuration.get_identity(name)
        key = Dkim(selector, safe.seal(private, purpose(found.name)), origin)
        await store.configuration.set_dkim(found.name, key)
        return found, key

    found, key = with_store(context, give)
    typer.echo(f"Emails of {found.name} are signed from now on. Publish this record:")
    _print_record(_host(found, key), dns_record(private))


def _host(found: Identity, key: Dkim) -> str:
    return f"{key.selector}._domainkey.{found.name.rpartition('@')[2]}"  # RFC 6376 § 3.6.2.1


def _print_record(host: str, record: str) -> None:
    typer.echo(f"\n{host}. TXT\n{record}\n")


def _looked_up(host: str, record: str) -> str:
    """Return what is wrong with the record in DNS; empty where it is as it should be."""
    import dns.exception  # noqa: PLC0415 - no other command of this group needs it
    import dns.resolver  # noqa: PLC0415

    try:
        answer = dns.resolver.resolve(host, "TXT", lifetime=LOOKUP_SECONDS)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return f"there is no TXT record at {host}: publish the one shown"
    except dns.exception.DNSException as error:
        return f"{host} cannot be looked up: {reason_of(error)}"
    # RFC 6376 § 3.6.2.2: the strings of a record are joined.
    texts = [b"".join(each.strings).decode("latin-1") for each in answer]
    wanted = record.rpartition("p=")[2]
    if any(wanted == "".join(t.rpartition("p=")[2].split()).partition(";")[0] for t in texts):
        return ""
    return f"the TXT record at {host} is of another key: replace it with the one shown"
