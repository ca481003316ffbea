"""Digests by which texts are found that nobody shall read."""

import hashlib


def digest_of(text: str) -> bytes:
    """Return the SHA-256 of a text, 32 bytes; lone surrogates are as good as other characters."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
