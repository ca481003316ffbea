"""The milter door: a mail server asks about each email, and is told what to change of it."""
