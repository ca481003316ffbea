#!/usr/bin/env bash
# Python's EmailMessage writes long header values of plain ASCII as encoded words.
#
# One would guess: a value of ASCII letters goes out as it was given, or folded at most (RFC 5322
# § 2.2.3); encoded words (RFC 2047) are for other characters. So does email.message.Message.
# What happens: a value without a space that does not fit in a line of 78 characters becomes
# "=?utf-8?q?campaign=3Dspring-sale=2C...?=", cut where the line ends. A service that reads such a
# control field as plain text, without decoding it, sees none of the tags. The same value with a
# space behind each comma is folded and stays readable.
# Seen with Python 3.11.7 (standard library). Source: Lib/email/_header_value_parser.py,
# _refold_parse_tree; github.com/python/cpython/issues/85725.
set -euo pipefail
python3 - <<'PYTHON'
import sys
from email import policy
from email.message import EmailMessage, Message

NAME = "X-SES-MESSAGE-TAGS"
VALUE = "campaign=spring-sale,segment=returning-customers,experiment=blue-button,region=europe-west"

def written(message, value):
    message[NAME] = value
    return message.as_bytes(policy=policy.SMTP if isinstance(message, EmailMessage) else None).decode()

cases = {
    "EmailMessage": (written(EmailMessage(), VALUE), True),
    "EmailMessage, spaces after commas": (written(EmailMessage(), VALUE.replace(",", ", ")), False),
    "EmailMessage, letters alone": (written(EmailMessage(), "a" * len(VALUE)), True),
    "Message": (written(Message(), VALUE), False),
}
print(sys.version)
for case, (text, _) in cases.items():
    print(f"{case}:\n  " + text.strip().replace("\r\n", "\n").replace("\n", "\n  "))
if any(("=?utf-8?q?" in text) != encoded for text, encoded in cases.values()):
    sys.exit("changed")
print("as described")
PYTHON
