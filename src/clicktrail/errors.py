"""One family of errors; each knows whether trying again can help."""


class ClicktrailError(Exception):
    """Base of all errors that Clicktrail raises on purpose.

    The message is written for the person who reads it: what is wrong, and what to do.
    """

    permanent = True
    """``True`` when the same call will fail again, ``False`` when a later try may succeed."""


class SettingError(ClicktrailError):
    """A setting has a value that cannot be used: names the setting, the value, what is expected."""


class InvalidInput(ClicktrailError):
    """Something given by the user cannot be used (a name, an ARN, an address, a file)."""


class NoRoom(ClicktrailError):
    """A file that is missing cannot be made: the disk is full."""

    permanent = False


class NotFound(ClicktrailError):
    """The named configuration set, destination, identity, key or event does not exist."""


class AlreadyExists(ClicktrailError):
    """A thing of that name exists already."""


class InvalidToken(ClicktrailError):
    """A tracking link that is not ours: wrong, damaged, foreign, or sealed with a retired key."""


class InvalidSignature(ClicktrailError):
    """A webhook that this installation has not signed, or not just now."""


class MessageRefused(ClicktrailError):
    """An email that is not accepted: an SMTP reply for the sender.

    ``code`` is the SMTP reply code (RFC 5321 § 4.2), ``text`` its text, beginning with an
    enhanced status code (RFC 3463) where one is known.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.permanent = code >= 500


class SmarthostRefused(MessageRefused):
    """The smarthost itself answered with a 4xx or 5xx: its code and text, unchanged."""


class SmarthostUnavailable(ClicktrailError):
    """The smarthost is down, too slow, or went away in the middle of a transaction."""

    permanent = False


class SmarthostBusy(SmarthostUnavailable):
    """As many connections to the smarthost are in use as may be."""


class SmarthostIsOurselves(SmarthostUnavailable):
    """The smarthost greets as this service does: emails would come in again."""


class SmarthostRefusesUs(SmarthostUnavailable):
    """The smarthost takes no email from this installation: its name, password or TLS is wrong."""


class SmarthostSilent(SmarthostUnavailable):
    """The whole email was sent, and no answer came: the smarthost may have taken it, or not."""


class JournalUnavailable(ClicktrailError):
    """The journal cannot take a click now."""

    permanent = False


class StoreUnavailable(ClicktrailError):
    """The store cannot be read or written now."""

    permanent = False


class StoreBeingMoved(StoreUnavailable):
    """The store holds a part of another one: nobody else begins to use it before that has ended."""


class TooManyTries(ClicktrailError):
    """Who signs in has given too many wrong passwords: ``wait`` seconds, then it may try again."""

    permanent = False

    def __init__(self, wait: int) -> None:
        super().__init__(f"too many wrong passwords: try again in {wait} s")
        self.wait = wait


class TooManyWaiting(ClicktrailError):
    """As many requests wait for something to happen as may do so at once."""

    permanent = False


class DeliveryFailed(ClicktrailError):
    """A destination did not take an event. ``permanent`` tells whether to go on trying."""

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent
