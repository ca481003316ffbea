"""Attribute values as a browser reads them: character references decoded (HTML § 13.2.5.72-80)."""

import html.entities
import re

# HTML § 13.2.5.73 and .75: a named reference, with or without its semicolon, or a numeric one.
_REFERENCE = re.compile(r"&(?:#[xX]([0-9a-fA-F]++);?|#([0-9]++);?|([A-Za-z][A-Za-z0-9]*+);?)")
_NAMED = html.entities.html5
_WITHOUT_SEMICOLON = {name for name in _NAMED if not name.endswith(";")}
_LONGEST = max(map(len, _WITHOUT_SEMICOLON))

# HTML § 13.2.5.80: what Windows put there.
_WINDOWS_1252 = {
    number: bytes((number,)).decode("cp1252", "replace")
    for number in range(0x80, 0xA0)
    if number not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}


def decode_attribute(raw: str) -> str:
    """Return an attribute's value as a browser reads it: references decoded, NUL replaced."""
    if "\0" in raw:
        raw = raw.replace("\0", "\ufffd")  # HTML § 13.2.5.36
    if "\r" in raw:
        raw = raw.replace("\r\n", "\n").replace("\r", "\n")  # HTML § 13.2.3.5
    signs = raw.count("&")
    if signs == raw.count("&amp;"):  # as in nearly all URLs
        return raw.replace("&amp;", "&") if signs else raw
    return _REFERENCE.sub(_decode_reference, raw)


def _decode_reference(match: re.Match[str]) -> str:
    text: str = match[0]
    if match[3] is None:
        digits = match[1] or match[2]
        # Any number with more digits is over U+10FFFF, and slow to read.
        number = int(digits, 16 if match[1] else 10) if len(digits.lstrip("0")) < 9 else -1
        return _character(number)
    name = match[3]
    if text.endswith(";") and (found := _NAMED.get(name + ";")) is not None:
        return found
    following = match.string[match.end() : match.end() + 1]
    for end in range(min(len(name), _LONGEST), 1, -1):
        if name[:end] in _WITHOUT_SEMICOLON:
            after = text[1 + end : 2 + end] or following
            # HTML § 13.2.5.73: in an attribute, "&copy=" and "&copyx" stay as they are.
            if after == "=" or (after.isascii() and after.isalnum()):
                return text
            return _NAMED[name[:end]] + text[1 + end :]
    return text


def _character(number: int) -> str:
    """Return the character of a numeric reference (HTML § 13.2.5.80)."""
    if number <= 0 or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return "\ufffd"
    return _WINDOWS_1252.get(number) or chr(number)
