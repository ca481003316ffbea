"""URLs in tokens: what is packed is valid deflate, short, and comes back."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from clicktrail.keys import packing
from clicktrail.keys.packing import DEFLATED, PLAIN, pack, unpack

PIECES = (
    *("https://", "http://", "www.", "HTTPS://", "shop.example/", "?", "&", "a", "\x7f", "é"),
    *("utm_source=", "utm_medium=", "utm_campaign=", "utm_content=", "utm_term=", "utm_id="),
    *("newsletter", "email", "?utm_source=newsletter&utm_medium=email&utm_campaign="),
)
URLS = st.lists(st.sampled_from(PIECES) | st.text(max_size=20), max_size=15).map("".join)


@given(URLS | URLS.map("https://www.".__add__) | URLS.map("http://".__add__))
def test_what_is_packed_comes_back_and_is_no_longer(url: str) -> None:
    version, body = pack(url)
    assert unpack(version, body) == url
    raw = url.encode("utf-8", "surrogatepass")
    assert len(body) <= len(raw)
    assert (version == PLAIN) == (len(body) == len(raw))


@given(URLS.map("https://".__add__))
def test_it_is_one_whole_stream_of_deflate(url: str) -> None:
    version, body = pack(url)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS, packing._DICTIONARY)
    if version == DEFLATED:
        assert inflater.decompress(body) == url.encode("utf-8", "surrogatepass")
        assert (inflater.eof, inflater.unused_data) == (True, b"")


def test_what_urls_have_in_common_takes_few_bytes() -> None:
    for begin in ("http://", "http://www.", "https://", "https://www."):
        assert len(pack(f"{begin}a.example/")[1]) <= len("a.example/") + 5
    _, body = pack("https://a.example/b?utm_source=newsletter&utm_medium=email&utm_campaign=week47")
    assert len(body) <= 48
