"""Looks at a challenge as an authority would, before one is asked: does the name lead here?

A failed order counts against us (rate limits); a look of our own does not.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

import httpcore
from cryptography import x509

from clicktrail import __version__
from clicktrail.certificates import alpn
from clicktrail.store.certificates import Challenge

MOST_ADDRESSES = 8
"""More addresses of one name are not looked at."""
_LONGEST = 1024

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the IP addresses of a name. Raises `OSError` where there are none."""


async def system_resolve(name: str) -> Sequence[str]:
    """Return the addresses that this machine knows of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


async def rehearse(challenge: Challenge, addresses: Sequence[str], port: int, wait: float) -> str:
    """Return what is wrong with the way of a challenge; empty where an authority can go it.

    ``wait``: seconds for each address. One that cannot be reached from here may be reached by
    others, so that it is passed over where another one leads here; one where somebody else answers
    is not: an authority may choose it.
    """
    shown = [f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in addresses]
    look = _look_by_tls if challenge.kind == "tls-alpn-01" else _look_by_http
    jobs = [_at(look, challenge, each, port, wait) for each in addresses[:MOST_ADDRESSES]]
    found = list(zip(shown, await asyncio.gather(*jobs), strict=False))
    wrong = [f"{where} {what}" for where, (reached, what) in found if reached and what]
    away = [f"{where} {what}" for where, (reached, what) in found if not reached]
    if not wrong and len(away) < len(found):
        return ""
    return "; ".join(wrong or away)


Found = tuple[bool, str]
"""Whether anybody is there, and what is wrong with the answer."""

_Look = Callable[[Challenge, str, int, float], Awaitable[str]]


async def _at(look: _Look, challenge: Challenge, address: str, port: int, wait: float) -> Found:
    try:
        async with asyncio.timeout(wait):
            return True, await look(challenge, address, port, wait)
    except (TimeoutError, httpcore.TimeoutException):
        return False, f"does not answer within {wait:g} seconds"
    except ssl.SSLError as error:
        return True, f"makes no handshake for it ({error.reason or 'TLS'}): another server?"
    except (ConnectionResetError, httpcore.ReadError, httpcore.WriteError):
        return True, "hangs up: another server?"
    except (OSError, httpcore.NetworkError) as error:
        return False, f"cannot be reached ({getattr(error, 'strerror', None) or 'refused'})"
    except httpcore.ProtocolError:
        return True, "answers no HTTP"


async def _look_by_tls(challenge: Challenge, address: str, port: int, wait: float) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # RFC 8737 § 3: it is signed by itself
    context.set_alpn_protocols([alpn.PROTOCOL])
    _, writer = await asyncio.open_connection(
        address, port, ssl=context, server_hostname=challenge.name
    )
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    try:
        answers = alpn.answers(x509.load_der_x509_certificate(shown), challenge.key_authorization)
    except ValueError:
        answers = False
    return "" if answers else "is another server, which shows a certificate of its own"


async def _look_by_http(challenge: Challenge, address: str, port: int, wait: float) -> str:
    path = f"/.well-known/acme-challenge/{challenge.token}"
    url = httpcore.URL(scheme="http", host=address, port=port, target=path)
    host = challenge.name if port == 80 else f"{challenge.name}:{port}"
    headers: list[tuple[bytes | str, bytes | str]] = [
        ("Host", host),
        ("User-Agent", f"clicktrail/{__version__} (certificates)"),
    ]
    steps = dict.fromkeys(("connect", "read", "write", "pool"), wait)
    async with (
        httpcore.AsyncConnectionPool() as pool,
        pool.stream("GET", url, headers=headers, extensions={"timeout": steps}) as response,
    ):
        body = b""
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > _LONGEST:
                break
    if response.status == 200 and body == challenge.key_authorization.encode():
        return ""
    return f"is another server, or not this installation (HTTP {response.status})"
