"""Who runs a command."""

import getpass


def who() -> str:
    """Return who runs the command, as the system calls them."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a user without a name: a container's
        return "command line"
