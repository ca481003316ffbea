"""An email to try things with: it goes the way of all emails."""

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from html import escape

from clicktrail.errors import InvalidInput, MessageRefused
from clicktrail.ingress.accept import Acceptor
from clicktrail.ingress.mailbox import read_mailbox
from clicktrail.ingress.submission import Smarthost, Submission
from clicktrail.model import Envelope, Recipient

SUBJECT = "A link to click"
_TEXT = """Hello,

this email tries Clicktrail out. Its HTML part has a link that is tracked:
your mail program shows the text part only, so there is nothing to click here.
"""
_HTML = """<!doctype html>
<html><body style="font: 16px/1.5 sans-serif; color: #222; max-width: 34em; margin: 2em auto">
<h1 style="font-size: 1.4em">One click to go</h1>
<p>This email came through Clicktrail. The link below is a tracking link: your click is logged,
counted and shown in the console, and then you are sent on to where it leads.</p>
<p><a href="{target}" postbox:tags="place:guide" style="background: #2948b8; color: #fff;
padding: .6em 1.2em; border-radius: .4em; text-decoration: none">Click me</a></p>
</body></html>
"""


class SampleSender:
    """Sends it."""

    def __init__(self, acceptor: Acceptor, smarthost: Smarthost, hostname: str) -> None:
        self._acceptor = acceptor
        self._smarthost = smarthost
        self._hostname = hostname

    async def try_smarthost(self) -> None:
        """Connect to the smarthost and begin an email that is not sent.

        Raises `SmarthostUnavailable` and `MessageRefused`, which say what is wrong.
        """
        # RFC 5321 § 4.5.5: the null reverse-path, which every server takes.
        transaction = await self._smarthost.begin(Envelope("", size=1000))
        await transaction.rcpt(())
        await transaction.abort()

    async def send(self, sender: str, recipient: str, set_name: str, target: str) -> str:
        """Send an email with one link, to ``target``; return its id.

        Raises `InvalidInput`, `MessageRefused`, `SmarthostUnavailable` and `StoreUnavailable`.
        """
        for address in (sender, recipient):
            if not address.isascii() or read_mailbox(address, "address").address != address:
                raise InvalidInput(f"{address!r} is not an email address such as me@example.com")
        raw = self._email(sender, recipient, target)
        transaction = await self._smarthost.begin(Envelope(sender, size=len(raw)))
        [(code, text)] = await transaction.rcpt([Recipient(recipient)])
        if code >= 400:
            await transaction.abort()
            raise MessageRefused(code, text)
        submission = Submission(
            message=raw,
            sender=sender,
            recipients=(recipient,),
            client="console",
            protocol="HTTP",
            configuration_set=set_name,
        )
        return await self._acceptor.accept(submission, transaction)

    def _email(self, sender: str, recipient: str, target: str) -> bytes:
        made = EmailMessage(SMTP.clone(cte_type="7bit"))
        made["From"] = sender
        made["To"] = recipient
        made["Subject"] = SUBJECT
        made["Date"] = formatdate(localtime=True)
        made["Message-ID"] = make_msgid(domain=self._hostname)
        made.set_content(_TEXT)
        made.add_alternative(_HTML.format(target=escape(target)), subtype="html")
        return made.as_bytes()
