"""Send an email to the service on this machine and click its link: it must lead on.

    python tools/click_once.py MAILDIR [LINK]

``MAILDIR`` is where its smarthost puts emails; those of example.com are tracked. Prints the
tracking link; with a ``LINK``, clicks this one and sends nothing.
"""

import re
import smtplib
import sys
import urllib.error
import urllib.request
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

TARGET = "https://a.example/"


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *_: Any) -> None:
        """Give no request to follow with."""


def send(maildir: Path) -> str:
    """Send an email; return its tracking link."""
    email = EmailMessage()
    email["From"], email["To"] = "a@example.com", "b@example.com"
    email.set_content(f'<a href="{TARGET}">x</a>', subtype="html")
    with smtplib.SMTP("127.0.0.1", 2525) as client:
        client.send_message(email)
    [sent] = (maildir / "new").iterdir()
    html = message_from_bytes(sent.read_bytes(), policy=policy.default).get_content()
    [link] = re.findall(r'href="([^"]+)"', html)
    return str(link)


def click(link: str) -> None:
    """Ask for a link; ends with an error where it does not lead on."""
    try:
        urllib.request.build_opener(Stay).open(link)
    except urllib.error.HTTPError as answer:
        if (answer.code, answer.headers["Location"]) == (302, TARGET):
            return
        sys.exit(f"{link} was answered {answer.code}")
    sys.exit(f"{link} does not lead on")


if __name__ == "__main__":
    found = sys.argv[2] if len(sys.argv) > 2 else send(Path(sys.argv[1]))
    click(found)
    print(found)
