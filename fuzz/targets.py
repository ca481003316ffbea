"""What each fuzzer does with one input, with opens off and on.

Raises where a promise of the rewriter is broken.
"""

from collections.abc import Callable

from support.rewrite_checks import check_message
from support.rewrite_plans import check_plan, plain_html, plan_of


def html(data: bytes) -> None:
    """The input is the HTML of an email."""
    for opens in (False, True):
        check_plan(plain_html(data), opens=opens)


def parts(data: bytes) -> None:
    """The input chooses structure, charset and transfer encoding, then comes the HTML."""
    plan = plan_of(data)
    for opens in (False, True):
        if plan is not None:
            check_plan(plan, opens=opens)


def mime(data: bytes) -> None:
    """The input is a whole email, well formed or not."""
    for opens in (False, True):
        check_message(data, opens=opens)


TARGETS: dict[str, Callable[[bytes], None]] = {"html": html, "parts": parts, "mime": mime}


def envelope(name: str, data: bytes) -> bytes:
    """Return the email that a target makes of its input."""
    if name == "mime":
        return data
    return b"".join(plain_html(data).pieces)
