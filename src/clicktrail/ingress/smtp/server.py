"""The SMTP door: listens for connections, and sees them out when it stops."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from clicktrail.doors.budget import Budget
from clicktrail.doors.connections import Connections, most_connections
from clicktrail.doors.forwarded import Visitors
from clicktrail.doors.tls import Certificate
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.smtp.auth import Passwords, SignIn
from clicktrail.ingress.smtp.connection import Connection
from clicktrail.ingress.smtp.options import SmtpOptions
from clicktrail.ingress.smtp.session import Session
from clicktrail.ingress.submission import Smarthost
from clicktrail.settings.kinds import Address


class SmtpServer:
    """Listens for emails. ``address`` has the real port once it is started."""

    STOP_SECONDS = 25.0
    """How long `stop` waits for emails that are coming in or on their way to the smarthost."""

    def __init__(
        self, options: SmtpOptions, acceptor: Acceptor, smarthost: Smarthost, users: Passwords
    ) -> None:
        self.options = options
        self.acceptor = acceptor
        self.smarthost = smarthost
        self.address = options.listen
        self.tls_address = options.tls_listen
        self.certificate: Certificate | None = None
        self.stopping = False
        self.sessions: Connections[Connection] = Connections(
            most_connections(options.max_connections),
            options.max_per_address,
            Visitors(options.allow).trusts,
        )
        self.memory = Budget(options.memory, options.max_size * 2)
        self.sign_in = SignIn(users)
        self._listening: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen. Raises `OSError`, also for a certificate that cannot be used."""
        if self.options.certificate is not None:
            self.certificate = Certificate(self.options.certificate, self.options.key)
        self.stopping = False
        self.address = await self._listen(self.options.listen, tls_from_the_start=False)
        if self.options.tls_listen is not None:
            self.tls_address = await self._listen(self.options.tls_listen, tls_from_the_start=True)

    async def _listen(self, place: Address, *, tls_from_the_start: bool) -> Address:
        made = await asyncio.get_running_loop().create_server(
            lambda: Session(self, tls_from_the_start=tls_from_the_start),
            place.host,
            place.port,
            backlog=1024,
            reuse_port=self.options.shared or None,
        )
        self._listening.append(made)
        host, port = made.sockets[0].getsockname()[:2]
        return Address(host, port)

    def reload(self) -> None:
        """Load the certificate again. Raises `OSError`; then the old one stays in use."""
        if self.certificate is not None:
            self.certificate.reload()

    async def stop(self) -> None:
        """Take no more emails, answer those whose DATA has begun, and close all connections."""
        self.stopping = True
        while self._listening:
            self._listening.pop().close()
        clock = asyncio.get_running_loop().time
        until = clock() + self.STOP_SECONDS
        handlers = [task for session in list(self.sessions) if (task := session.leave())]
        if handlers:
            await asyncio.wait(handlers, timeout=until - clock())
        for session in list(self.sessions):
            session.cut()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, until - clock()))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run something that outlives the connection; `stop` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
