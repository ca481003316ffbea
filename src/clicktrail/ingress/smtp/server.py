"""The SMTP door: listens for connections, and sees them out when it stops."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from clicktrail.doors.budget import Budget
from clicktrail.doors.connections import Connections
from clicktrail.doors.forwarded import Visitors
from clicktrail.doors.handshake import Handshake, TlsListener
from clicktrail.doors.tls import Certificate
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.smtp.auth import SignIn
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
        self, options: SmtpOptions, acceptor: Acceptor, smarthost: Smarthost, sign_in: SignIn
    ) -> None:
        self.options = options
        self.acceptor = acceptor
        self.smarthost = smarthost
        self.address = options.listen
        self.tls_address = options.tls_listen
        self.certificate: Certificate | None = None
        self.stopping = False
        self.sessions: Connections[Connection | Handshake] = Connections(
            options.max_connections,
            options.max_per_address,
            Visitors(options.allow).trusts,
        )
        self.memory = Budget(options.memory, options.max_size * 2)
        self.sign_in = sign_in
        self._listening: asyncio.Server | None = None
        self._secure: TlsListener | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen. Raises `OSError`, also for a certificate that cannot be used."""
        if self.options.certificate is not None:
            self.certificate = Certificate(self.options.certificate, self.options.key)
        self.stopping = False
        listen = self.options.listen
        self._listening = await asyncio.get_running_loop().create_server(
            lambda: Session(self),
            listen.host,
            listen.port,
            backlog=1024,
            reuse_port=self.options.shared or None,
        )
        host, port = self._listening.sockets[0].getsockname()[:2]
        self.address = Address(host, port)
        if self.options.tls_listen is not None and self.certificate is not None:
            self._secure = TlsListener(
                partial(self._encrypted_session, self.certificate),
                self.sessions,
                self.certificate.context,
                min(self.options.first_timeout, 60.0),
                asyncio.get_running_loop().time,
            )
            place = self.options.tls_listen
            self.tls_address = await self._secure.start(place, shared=self.options.shared)

    def _encrypted_session(self, certificate: Certificate) -> Session:
        certificate.renew()  # before the handshake
        return Session(self, encrypted=True)

    def reload(self) -> None:
        """Load the certificate again. Raises `OSError`; then the old one stays in use."""
        if self.certificate is not None:
            self.certificate.reload()

    async def stop(self) -> None:
        """Take no more emails, answer those whose DATA has begun, and close all connections."""
        self.stopping = True
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        if self._secure is not None:
            self._secure.close()
            self._secure = None
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
