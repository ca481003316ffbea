"""How the contents of emails are kept: packed, in few bytes."""
