"""An SMTP session (RFC 5321): the commands of a client, and the answers to them.

Recipients are passed to the smarthost as they come, so that its refusals reach the sender one by
one; an email is answered when the smarthost has answered.
"""

import asyncio
from base64 import b64encode
from dataclasses import replace

from clicktrail.base.logs import get_logger
from clicktrail.errors import MessageRefused, StoreUnavailable
from clicktrail.ingress import lines
from clicktrail.ingress.replies import WRONG
from clicktrail.ingress.smtp.auth import SignedIn, read_credentials, read_line
from clicktrail.ingress.smtp.connection import Connection, Server
from clicktrail.ingress.smtp.intake import Intake, parts
from clicktrail.ingress.smtp.mail import Mail
from clicktrail.ingress.smtp.syntax import read_bdat, read_mail, read_rcpt
from clicktrail.ingress.smtp.xforward import OFFER, Origin
from clicktrail.model import Envelope, Reply

log = get_logger(__name__)

MOST_FAILURES = 3
_NO_TLS = "needs TLS, for which this server has no certificate (smtp.tls_certificate)"


class Session(Connection):
    """What is said on one connection."""

    def __init__(self, server: Server, *, encrypted: bool = False) -> None:
        super().__init__(server, encrypted=encrypted)
        self._client_name = ""  # what it called itself; empty before EHLO
        self._extended = False
        self._failures = 0
        self._user: SignedIn | None = None
        self._origin = Origin()  # who gave the email to the mail server that is the client
        self._offered: frozenset[str] = frozenset()  # by the smarthost

    # Who is there

    async def smtp_HELO(self, hostname: str) -> None:
        """Greet (RFC 5321 § 4.1.1.1)."""
        await self._hello(hostname, extended=False)

    async def smtp_EHLO(self, hostname: str) -> None:
        """Greet, and say what is offered."""
        await self._hello(hostname, extended=True)

    async def _hello(self, hostname: str | None, *, extended: bool) -> None:
        if not hostname:
            await self.say(501, "5.5.4 expected the name of your host")
            return
        await self._forget()
        self._origin = Origin()
        self._client_name = hostname
        self._extended = extended
        await self.say(250, "\n".join([self.hostname, *(await self._offers() if extended else ())]))

    async def _offers(self) -> list[str]:
        """Return what EHLO offers: what is done here, and what the smarthost does."""
        offers = [f"SIZE {self.server.options.max_size}"]
        offers += ["8BITMIME", "SMTPUTF8", "PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"]
        if self.server.certificate is not None and not self.encrypted:
            offers.append("STARTTLS")
        if self._may_sign_in():
            offers.append("AUTH PLAIN LOGIN")
        if self.may_send() or self._may_sign_in():  # others cannot send
            with self.patience():
                self._offered = await self.server.smarthost.offered()
        if "dsn" in self._offered:
            offers.append("DSN")
        if "mt-priority" in self._offered:
            offers.append("MT-PRIORITY")
        if "requiretls" in self._offered and self.encrypted:
            offers.append("REQUIRETLS")
        if self._is_trusted_proxy():
            offers.append(OFFER)
        return offers

    async def smtp_XFORWARD(self, arg: str | None) -> None:
        """Hear who gave the email to a mail server of ours."""
        if not self._is_trusted_proxy():
            await self.say(550, "5.7.1 XFORWARD is not taken from here (smtp.trusted_proxies)")
        elif self.mail is not None:
            await self.say(503, "5.5.1 an email has begun already")
        else:
            try:
                self._origin = self._origin.and_more(arg)
            except MessageRefused as refused:
                await self.say(refused.code, refused.text)
                return
            await self.say(250, "2.0.0 Ok")

    def _is_trusted_proxy(self) -> bool:
        return self.is_in(self.server.options.trusted_proxies)

    async def smtp_STARTTLS(self, arg: str) -> None:
        """Encrypt the connection (RFC 3207)."""
        if arg:
            await self.say(501, "5.5.4 STARTTLS takes no argument")
        elif self.encrypted:
            await self.say(503, "5.5.1 the connection is encrypted already")
        elif self.server.certificate is None:
            await self.say(454, "4.7.0 there is no certificate for TLS here (smtp.tls_certificate)")
        else:
            await self._forget()
            await self.say(220, "2.0.0 ready for TLS")
            # RFC 3207 § 6: what came in the clear behind the command may be somebody else's. Only
            # now: until the answer can be written, more may come.
            self._reader._buffer.clear()  # type: ignore[attr-defined]
            await self.encrypt(self.server.certificate)
            self._client_name = ""  # RFC 3207 § 4.2: begin anew
            self._origin = Origin()
            self.signed_in = False

    async def smtp_AUTH(self, arg: str) -> None:
        """Sign in (RFC 4954)."""
        words = (arg or "").split()
        if not self._client_name or not self._extended:
            await self.say(503, "5.5.1 say EHLO first")
        elif not self._may_sign_in():
            first = "encrypt the connection first (STARTTLS)"
            has_tls = self.server.certificate is not None
            await self.say(538, f"5.7.11 {first if has_tls else f'signing in {_NO_TLS}'}")
        elif self.signed_in or self.mail is not None:
            await self.say(503, "5.5.1 AUTH is not possible now")
        else:
            try:
                credentials = await read_credentials(words, self._challenge)
            except MessageRefused as refused:
                await self.say(refused.code, refused.text)
                return
            await self._sign_in(*credentials)

    async def _challenge(self, prompt: str) -> bytes:
        await self.say(334, b64encode(prompt.encode()).decode())
        return await read_line(self._reader)

    async def _sign_in(self, name: str, password: str) -> None:
        try:
            with self.patience():
                self._user = await self.server.sign_in.verify(name, password, self.peer)
        except MessageRefused as refused:
            await self.say(refused.code, refused.text)
            if refused.code == 421:
                self.close()
            return
        if self._user is not None:
            self.signed_in = True
            self.extend_timeout()
            await self.say(235, "2.7.0 signed in")
            return
        self._failures += 1
        log.info("sign-in failed", client=str(self.ip))
        if self._failures >= MOST_FAILURES:
            self.goodbye(421, "4.7.0 too many wrong passwords")
        else:
            await self.say(535, "5.7.8 user name or password is wrong")

    async def _look_again(self) -> None:
        """Sign the client out where its user or access key has gone since it signed in.

        Clients keep sessions open for many emails. Raises `MessageRefused`.
        """
        if self.signed_in and self._user is not None:
            self._user = await self.server.sign_in.again(self._user)
            self.signed_in = self._user is not None

    async def _may_still(self, version: int) -> None:
        """Refuse an email that has come in while its user or access key went.

        It costs nothing as long as the configuration is of the version it was. Raises
        `MessageRefused`.
        """
        if self._user is not None and self._user.version != version:
            await self._look_again()
            if not self.may_send():
                raise self._not_signed_in()

    def _not_signed_in(self) -> MessageRefused:
        """Return the refusal of who may not send: with the way in that there is."""
        if self._may_sign_in():
            how = "sign in first (AUTH)"
        elif self.server.certificate is not None:
            how = "sign in first (STARTTLS, then AUTH)"
        else:
            how = f"emails from your address need a sign-in, which {_NO_TLS}, or smtp.allow"
        return MessageRefused(530, f"5.7.0 {how}")  # RFC 4954 § 6

    def _may_sign_in(self) -> bool:
        return self.encrypted or (self.ip is not None and self.ip.is_loopback)

    async def smtp_HELP(self, arg: str) -> None:
        """Help (RFC 5321 § 4.1.1.8)."""
        await self.say(214, "2.0.0 RFC 5321 says how to talk to this server")

    # An email

    async def smtp_MAIL(self, arg: str | None) -> None:
        """Begin an email (RFC 5321 § 4.1.1.2)."""
        if not self._client_name:
            await self.say(503, "5.5.1 say EHLO first")
            return
        if self.signed_in:
            try:
                with self.patience():
                    await self._look_again()
            except MessageRefused as refused:
                await self.say(refused.code, refused.text)
                return
        if not self.may_send():
            no = self._not_signed_in()
            await self.say(no.code, no.text)
        elif self.mail is not None:
            await self.say(503, "5.5.1 an email has begun already")
        else:
            try:
                envelope = read_mail(
                    arg,
                    extended=self._extended,
                    max_size=self.server.options.max_size,
                    offered=self._offered,
                    encrypted=self.encrypted,
                )
            except MessageRefused as refused:
                await self._refuse(refused)
                return
            client = self._origin.address or self.peer
            if words := self._origin.words:
                envelope = replace(envelope, origin=words)
            self.mail = Mail(envelope, self.server.smarthost, client)
            self.has_sent = True
            await self.say(250, "2.1.0 Ok")

    async def smtp_RCPT(self, arg: str | None) -> None:
        """Name a recipient: the smarthost answers."""
        if self.mail is None:
            await self.say(503, "5.5.1 say MAIL first")
            return
        if self.mail.intake is not None:
            await self.say(503, "5.5.1 the email has begun: name recipients before BDAT")
            return
        try:
            address, dsn = read_rcpt(arg, smtputf8=self.mail.envelope.smtputf8)
            most = self.server.options.max_recipients
            if len(self.mail.recipients) >= most:  # RFC 5321 § 4.5.3.1.10
                raise MessageRefused(
                    452, f"4.5.3 too many recipients: send to {most} at once, then to the others"
                )
        except MessageRefused as refused:
            await self._refuse(refused)
            return
        with self.patience():
            code, text = await self._named(self.mail, address, dsn)
        await self.say(code, text)

    async def _named(self, mail: Mail, address: str, dsn: tuple[str, ...]) -> Reply:
        try:
            await self.server.acceptor.check_recipient(address)
        except MessageRefused as refused:
            client = self._origin.address or self.peer
            lines.refused(client, refused, mail.envelope.sender, (address,))
            return refused.code, refused.text
        except StoreUnavailable:  # the email itself is put off, unless it is back by then
            pass
        return await mail.rcpt(address, dsn)

    async def smtp_DATA(self, arg: str) -> None:
        """Take the email, send it on, and answer (RFC 5321 § 4.1.1.4)."""
        mail = self.mail
        if arg:
            await self.say(501, "5.5.4 DATA takes no argument")
        elif mail is None:
            await self.say(503, "5.5.1 say MAIL first")
        elif (why := mail.not_ready()) is not None:
            await self.say(*why)
        elif mail.intake is not None:
            await self.say(503, "5.5.1 this email comes by BDAT")  # RFC 3030 § 2
        else:
            with self.receiving():
                await self.say(354, "end with a dot on a line of its own")
                mail.intake = self._intake()
                await mail.intake.read_to_the_dot(self._reader)
                await self._deliver(mail, mail.intake)

    async def smtp_BDAT(self, arg: str | None) -> None:
        """Take a piece of the email, and do as after DATA where it is the last (RFC 3030 § 2)."""
        try:
            if not self.may_send():
                raise self._not_signed_in()
            size, is_last = read_bdat(arg, self.server.options.max_size)
        except MessageRefused as refused:
            # What follows is not read, so that it would be taken for commands.
            self.goodbye(refused.code, refused.text)
            return
        mail = self.mail
        why = (503, "5.5.1 say MAIL first") if mail is None else mail.not_ready()
        with self.receiving():
            if mail is None or why is not None:
                async for _ in parts(self._reader, size):
                    pass
                await self.say(*why or WRONG)
                return
            mail.intake = mail.intake or self._intake()
            await mail.intake.read_piece(self._reader, size)
            if is_last:
                await self._deliver(mail, mail.intake)
                return
            try:
                mail.intake.check()
            except MessageRefused as refused:
                await self._refuse(refused)
                await self._forget()
            else:
                await self.say(250, f"2.0.0 {size} bytes")

    def _intake(self) -> Intake:
        return Intake(self.server.options.max_size, self.server.memory.share(self.peer))

    async def _deliver(self, mail: Mail, intake: Intake) -> None:
        try:
            message = intake.message()
        except MessageRefused as refused:
            await self._refuse(refused)
            await self._forget()
            return
        self.mail = None  # from here on it ends by itself
        origin, self._origin = self._origin, Origin()  # as Postfix does: told anew for each email
        work = mail.deliver(
            self.server.acceptor,
            message,
            source_ip=origin.address or self.peer or None,
            client=origin.hello or self._client_name,
            how=self._protocol_name(mail.envelope),
            exempt=self.is_in(self.server.options.identities_exempt),
            may_still=self._may_still,
        )
        delivering = self.server.spawn(work)
        delivering.add_done_callback(lambda _: intake.close())
        with self.patience():
            # Shielded: the smarthost's answer is kept even if the client is gone.
            code, text = await asyncio.shield(delivering)
        await self.say(code, text)

    def _protocol_name(self, envelope: Envelope) -> str:
        """Return how the email came in (RFC 3848, RFC 6531 § 4.3)."""
        if not self._extended:
            return "SMTP"
        marks = ("S" if self.encrypted else "") + ("A" if self.signed_in else "")
        return ("UTF8SMTP" if envelope.smtputf8 else "ESMTP") + marks

    async def _refuse(self, refused: MessageRefused) -> None:
        sender = self.mail.envelope.sender if self.mail else ""
        lines.refused(self._origin.address or self.peer, refused, sender)
        await self.say(refused.code, refused.text)

    async def smtp_RSET(self, arg: str) -> None:
        """Forget the email that has begun (RFC 5321 § 4.1.1.5)."""
        if arg:
            await self.say(501, "5.5.4 RSET takes no argument")
            return
        await self._forget()
        await self.say(250, "2.0.0 Ok")

    async def _forget(self) -> None:
        mail, self.mail = self.mail, None
        if mail is not None:
            self._origin = Origin()
            await asyncio.shield(self.server.spawn(mail.abort()))
