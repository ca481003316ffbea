"""There is memory for so much of what comes in at once, and who finds no room is told."""

import http.client
import json
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from support.service import PATIENCE, Service
from support.ses import access_key

SMALL = b"{}" + b" " * 1000
LARGE = b"{}" + b" " * 300_000
FLAGS = ("--smtp-max-size", "700000", "--api-memory", "1200000")


def signed(service: Service, key: tuple[str, str], body: bytes) -> AWSRequest:
    """Return a request of a client that we know; it is wrong only when all of it is here."""
    url = f"http://127.0.0.1:{service.api}/v2/email/outbound-emails"
    request = AWSRequest("POST", url, headers={"Host": urlsplit(url).netloc}, data=body)
    SigV4Auth(Credentials(*key), "ses", "eu-central-1").add_auth(request)
    return request


def ask(service: Service, request: AWSRequest) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", service.api, timeout=PATIENCE * 2)
    try:
        connection.request("POST", "/v2/email/outbound-emails", request.data, request.headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@contextmanager
def holding(
    service: Service, key: tuple[str, str], addresses: Sequence[str], size: int
) -> Iterator[list[socket.socket]]:
    """Have so much of a body held for each of these clients, and send no more of it."""
    clients = []
    try:
        for address in addresses:
            client = socket.create_connection(
                ("127.0.0.1", service.api), PATIENCE, source_address=(address, 0)
            )
            clients.append(client)
            headers = signed(service, key, b" " * size).headers
            told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            begun = f"POST /v2/email/outbound-emails HTTP/1.1\r\n{told}Expect: 100-continue\r\n"
            client.sendall(f"{begun}Content-Length: {size}\r\n\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")
            client.sendall(b" " * (size - 1))
        yield clients
    finally:
        for client in clients:
            client.close()


def test_what_finds_no_room_is_told_so_and_let_in_when_there_is_some(tmp_path: Path) -> None:
    with Service(tmp_path, *FLAGS, "--identities-required", "no") as service:
        key = access_key(service, "send")
        large, small = signed(service, key, LARGE), signed(service, key, SMALL)
        with ThreadPoolExecutor() as threads:
            with holding(service, key, ["127.0.0.2", "127.0.0.3"], 600_000):
                # 429 is what SES's clients try again by themselves (RFC 6585 § 4).
                status, headers, body = ask(service, large)
                assert (status, headers["retry-after"]) == (429, "1")
                assert headers["x-amzn-errortype"] == "TooManyRequestsException"
                assert "try again" in json.loads(body)["message"]
                assert ask(service, small)[0] == 400  # what is small has room beside
                waiting = threads.submit(ask, service, large)
            assert waiting.result()[0] == 400  # nobody holds anything any more
