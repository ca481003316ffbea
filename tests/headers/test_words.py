import pytest

from clicktrail.headers.words import decoded_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?a_=C3=A9?=", "a é"),
        ("=?UTF-8?B?w6k=?=", "é"),
        ("=?utf-8?b?w6k?=", "é"),
        ("x =?utf-8?q?a?= y", "x a y"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?= \t =?iso-8859-1?q?=E9?=", "aé"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        ("=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
        ("=?utf-8*en?q?a?=", "a"),
        ("=?utf-8?q?a b?=", "a b"),
        ("=?no-such?q?a=E9?=", "a\ufffd"),
        ("=?punycode?q?a-?=", "a-"),
        ("=?idna?q?a?=", "a"),
        ("=?unicode--escape?q?=5Cx41?=", "\\x41"),
        ("=?zlib?q?a?=", "a"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?utf-8?q?a", "=?utf-8?q?a"),
        ("=?utf-8?b?%%%?=", ""),
    ],
)
def test_encoded_words_are_decoded(text: str, expected: str) -> None:
    assert decoded_words(text) == expected
