"""Replies that more than one door gives."""

# RFC 5321 § 4.3.2: insufficient system storage; RFC 3463 § 3.4 has no closer code.
NO_MEMORY = 452, "4.3.1 too many emails are coming in at once: try again later"
NOT_KEPT = 451, "4.3.0 the email cannot be kept now: try again later"
WRONG = 451, "4.3.0 something went wrong here, which the log of this service names: try again later"


def too_large(max_size: int) -> str:
    """Return the text of the reply to an email of too many bytes."""
    return f"5.3.4 the email is too large: at most {max_size} bytes are taken (smtp.max_size)"


def code_for_sender(code: int) -> int:
    """Return the code of a refusal as it goes to the sender.

    RFC 5321 § 3.8: 421 would say that this connection ends; it is another one that does.
    """
    return 451 if code == 421 else code
