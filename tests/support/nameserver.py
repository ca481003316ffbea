"""A name server on loopback that says what a test wants."""

import asyncio
import threading
from typing import Self, cast

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from clicktrail.settings.kinds import Address


class NameServer:
    """Answers from ``records``: a name → lines such as ``A 127.0.0.1`` and ``CNAME other.``.

    A name that is not there does not exist; the line ``SERVFAIL`` is a failure, ``SILENCE`` none
    at all. It runs in a thread of its own, and is a context manager.
    """

    def __init__(self, records: dict[str, list[str]]) -> None:
        self._records = records
        self._loop = asyncio.new_event_loop()
        self._transport = cast(asyncio.DatagramTransport, None)
        self._listens = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listens.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._transport.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        server = self

        class Protocol(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                answer = server._answer(data)
                if answer is not None:
                    server._transport.sendto(answer, addr)

        opening = self._loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
        self._transport = self._loop.run_until_complete(opening)[0]
        self._listens.set()
        self._loop.run_forever()
        self._loop.run_until_complete(asyncio.sleep(0))

    @property
    def address(self) -> Address:
        return Address(*self._transport.get_extra_info("sockname"))

    def _answer(self, data: bytes) -> bytes | None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        [question] = query.question
        name = question.name.to_text(omit_final_dot=True)
        if name not in self._records:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        seen = set()
        while name in self._records and name not in seen:
            seen.add(name)
            following = ""
            for line in self._records[name]:
                kind, _, value = line.partition(" ")
                if kind == "SILENCE":
                    return None
                if kind == "SERVFAIL":
                    answer.set_rcode(dns.rcode.SERVFAIL)
                elif kind in ("CNAME", dns.rdatatype.to_text(question.rdtype)):
                    answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, value))
                    following = value.rstrip(".") if kind == "CNAME" else following
            name = following
        return answer.to_wire()
