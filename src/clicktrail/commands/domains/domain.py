"""``clicktrail domain``: is a tracking domain ready?"""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clicktrail.base.hostname import host_name
from clicktrail.base.ids import day_of, now_us
from clicktrail.commands.domains.findings import Finding, Status
from clicktrail.commands.shared.common import (
    Json,
    escape,
    keys_of,
    print_json,
    settings_of,
    with_store,
)
from clicktrail.errors import InvalidInput
from clicktrail.keys.probe import ask
from clicktrail.model import ConfigurationSet
from clicktrail.settings.kinds import LISTEN, Address
from clicktrail.settings.settings import Settings

if TYPE_CHECKING:
    from clicktrail.store.certificates import State

domains = typer.Typer(no_args_is_help=True, help="Domains of tracking links.")


@domains.command("check")
def check(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The domain, such as click.example.com.")],
    scheme: Annotated[
        list[str] | None,
        typer.Option(help="Look at http or https alone; both if not given."),
    ] = None,
    http_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of http links.")] = 80,
    https_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of https links.")] = 443,
    resolver: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Ask this name server; this machine's if not given."),
    ] = None,
    authorities: Annotated[
        Path | None,
        typer.Option(help="PEM file with certificate authorities to trust beside the known ones."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds for each step.")] = 10,
    as_json: Json = False,
) -> None:
    """Tell what is wrong with a tracking domain: its name, its certificate, where it leads."""
    from clicktrail.commands.domains.check import Look, check_domain  # noqa: PLC0415 - much to load

    settings = settings_of(context)
    domain = host_name(name)
    ports = {"http": http_port, "https": https_port}
    for each in scheme or ():
        if each not in ports:
            raise InvalidInput(f"--scheme {each!r} cannot be used: expected http or https")
    if authorities is not None and not authorities.is_file():
        raise InvalidInput(f"--authorities {str(authorities)!r} is no file")
    if not (settings.data / "keys.json").exists():
        raise InvalidInput(
            f"there is no keys.json in {str(settings.data)!r}: name the data folder of the running"
            " service with --data"
        )
    ring = keys_of(context).ring()
    look = Look(
        {s: port for s, port in ports.items() if not scheme or s in scheme},
        timeout,
        _name_server(resolver),
        authorities,
        settings["acme.directory"] if settings["acme.email"] else "",
    )
    sets = with_store(context, lambda store: store.configuration.list_sets())
    findings = [_use(domain, settings, sets)]
    if settings["acme.email"]:
        [state] = with_store(context, lambda store: store.certificates.states([domain]))
        findings.append(_order(state, now_us()))
    findings += asyncio.run(check_domain(domain, lambda: ask(ring, time.time()), look))
    ready = all(found.status is not Status.FAILED for found in findings)
    if as_json:
        print_json({"domain": domain, "ready": ready, "findings": findings})
    else:
        _print(domain, findings, ready)
    if not ready:
        raise typer.Exit(1)


def _name_server(text: str | None) -> Address | None:
    if text is None:
        return None
    try:
        return Address(host_name(text), 53) if ":" not in text else LISTEN.parse(text)
    except (ValueError, InvalidInput):
        raise InvalidInput(
            f"--resolver {text!r} cannot be used: expected an address such as 192.0.2.53 or"
            " 192.0.2.53:53"
        ) from None


def _use(domain: str, settings: Settings, sets: Iterable[ConfigurationSet]) -> Finding:
    """Say what the domain is used for."""
    hosts = settings.tracking_hosts
    users = [s.name for s in sets if s.redirect_domain and _is(domain, s.redirect_domain)]
    if users:
        return Finding("use", Status.OK, f"the domain of {', '.join(users)}")
    if _is(domain, hosts.http) or _is(domain, hosts.https):
        return Finding("use", Status.OK, "the domain of this installation")
    if domain in settings["redirect.domains"]:
        return Finding("use", Status.OK, "listed in redirect.domains")
    return Finding(
        "use",
        Status.NOTE,
        "no configuration set uses it yet; where certificates are made on demand, list it in"
        " redirect.domains first",
    )


def _order(state: "State", now: int) -> Finding:
    """Say how it stands with the certificate that comes by itself."""
    from clicktrail.store.certificates import Health  # noqa: PLC0415 - much to load

    health = state.health(now)
    why = f": {state.problem}" if state.problem else ""
    until = day_of(state.expires_at)
    if health is Health.MISSING:
        status = Status.WARNING if why else Status.NOTE
        text = f"no certificate was issued yet{why or ', and none was asked for'}"
    elif health is Health.VALID:
        renewed = day_of(state.renew_at)
        status, text = Status.OK, f"the certificate is kept until {until}, renewed on {renewed}"
    elif health is Health.EXPIRING:
        text = f"the certificate of {until} should have been renewed{why}"
        status = Status.WARNING
    else:
        status, text = Status.FAILED, f"the certificate has expired on {until}{why}"
    return Finding("order", status, text)


def _is(domain: str, host: str) -> bool:
    try:
        return host_name(host) == domain
    except InvalidInput:
        return False


def _print(domain: str, findings: list[Finding], ready: bool) -> None:
    typer.echo(domain)
    for found in findings:
        mark = found.status.upper() if found.status is Status.FAILED else found.status.value
        place = f"{found.check} {found.address}" if found.address else found.check
        typer.echo(f"  {mark:<8}{place}: {_plain(found.text)}")
    failed = sum(found.status is Status.FAILED for found in findings)
    typer.echo("Ready." if ready else f"Not ready: {failed} problem{'s' if failed > 1 else ''}.")


def _plain(text: str) -> str:
    """Return a text without control characters: some of it is what strangers answered."""
    return escape(text).replace(r"\[", "[").replace("\n", " ")
