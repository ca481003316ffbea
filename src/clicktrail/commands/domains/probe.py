"""Asks a domain whether it leads to this installation (`clicktrail.keys.probe`)."""

import ipaddress
from urllib.parse import urljoin, urlsplit

import httpcore
import msgspec

from clicktrail import __version__
from clicktrail.base.hostname import host_name
from clicktrail.base.json_input import InvalidJson, read_json
from clicktrail.commands.domains.certificate import trusting
from clicktrail.commands.domains.findings import Door, Said, Status
from clicktrail.errors import InvalidInput
from clicktrail.keys.probe import Question

ANSWER_LIMIT = 64 * 1024
_OUR_NOT_FOUND = b"<title>This link does not work</title>"


class _Told(msgspec.Struct):
    """What a Clicktrail answers."""

    proof: str
    host: str
    client: str


class Answer(msgspec.Struct):
    """An answer: header names are in lower case, of the body not more than `ANSWER_LIMIT`."""

    status: int
    headers: dict[str, str]
    body: bytes


async def probe(door: Door, question: Question) -> list[Said]:
    """Return what an address answers to a question asked in a domain's name.

    Certificates are not looked at: whether it is us can be told without.
    """
    try:
        answer = await get(door, question.path)
    except httpcore.TimeoutException:
        return [(Status.FAILED, f"no answer within {door.seconds:g} seconds")]
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        return [(Status.FAILED, f"no HTTP answer: {error or type(error).__name__}")]
    if answer.status == 200:
        return _from_somebody(door, question, answer)
    if 300 <= answer.status < 400:
        return [_redirected(door, question, answer)]
    return [(Status.FAILED, _explain(answer))]


async def get(door: Door, path: str) -> Answer:
    """Return what a server answers, whatever its certificate is. Raises what httpcore raises."""
    url = httpcore.URL(scheme=door.scheme, host=door.address, port=door.port, target=path)
    headers: list[tuple[bytes | str, bytes | str]] = [
        ("Host", door.host),
        ("User-Agent", f"clicktrail/{__version__} (domain check)"),
    ]
    steps = dict.fromkeys(("connect", "read", "write", "pool"), door.seconds)
    extensions = {"timeout": steps, "sni_hostname": door.name}
    async with (
        httpcore.AsyncConnectionPool(ssl_context=trusting()) as pool,
        pool.stream("GET", url, headers=headers, extensions=extensions) as response,
    ):
        body = b""
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > ANSWER_LIMIT:
                break
        found = {
            each.decode("latin-1").lower(): value.decode("latin-1")
            for each, value in response.headers
        }
        return Answer(response.status, found, body)


def _from_somebody(door: Door, question: Question, answer: Answer) -> list[Said]:
    try:
        told = read_json(answer.body, _Told)
    except InvalidJson:
        return [(Status.FAILED, _explain(answer))]
    if told.proof != question.proof:
        return [(Status.FAILED, "a Clicktrail answers, but cannot prove to be this one")]
    said = [(Status.OK, "leads to this installation")]
    if _bare(told.host) != door.name:
        text = f"the proxy hands on {told.host!r} as the Host, not {door.name}: no app links"
        said.append((Status.WARNING, text))
    if _is_hidden(told.client, door.address):
        text = (
            f"the client's address arrives as {told.client or 'nothing'}: name your proxy in"
            " redirect.trusted_proxies, and let it set X-Forwarded-For"
        )
        said.append((Status.WARNING, text))
    return said


def _redirected(door: Door, question: Question, answer: Answer) -> Said:
    asked = f"{door.scheme}://{door.host}{question.path}"
    try:
        parts = urlsplit(urljoin(asked, answer.headers.get("location", "")))
    except ValueError:
        return Status.FAILED, f"is redirected to what is no URL (HTTP {answer.status})"
    if door.scheme == "http" and parts.scheme == "https" and _bare(parts.netloc) == door.name:
        if parts.path == question.path:
            text = "is redirected to https: links work, but each click takes one step more"
            return Status.WARNING, text
        return Status.FAILED, "is redirected to https without the path: links lead nowhere"
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"[:100]
    return Status.FAILED, f"is redirected to {shown!r} (HTTP {answer.status})"


def _explain(answer: Answer) -> str:
    if answer.status == 404 and _OUR_NOT_FOUND in answer.body:
        return (
            "a Clicktrail answers, but not this one: it has other keys (another keys.json), or its"
            " clock differs by more than five minutes"
        )
    server = answer.headers.get("server", "")
    who = f"{server[:60]!r}" if server else "a server without a name"
    if answer.status in (502, 503, 504):
        return f"{who} does not reach Clicktrail (HTTP {answer.status}): is the redirect running?"
    return f"{who} answers, and no Clicktrail (HTTP {answer.status})"


def _bare(host: str) -> str:
    try:
        return host_name(host)
    except InvalidInput:
        return host


def _is_hidden(client: str, address: str) -> bool:
    """Whether a client's address cannot be the real one: we came by a public address."""
    if not ipaddress.ip_address(address).is_global:
        return False
    try:
        return not ipaddress.ip_address(client).is_global
    except ValueError:
        return True
