"""Cells of CSV with texts that others wrote, which no spreadsheet takes for a formula."""

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with (OWASP, "CSV Injection"), in full width (U+FF1D and the like), too."""
_BLANK = ("\t", "\r", "\n")


def harmless(text: str) -> str:
    """Return a text as a cell: with an apostrophe before what may be taken for a formula.

    White space before it does not make it harmless: some programs take that away.
    """
    if text.startswith(_BLANK) or text.lstrip().startswith(_FORMULA):
        return f"'{text}"
    return text
