"""Names of hosts: one form, and nothing that is none."""

import pytest

from clicktrail.errors import InvalidInput
from clicktrail.hostname import host_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("click.example.com", "click.example.com"),
        ("Click.Example.COM.", "click.example.com"),
        ("click.example.com:8080", "click.example.com"),
        ("localhost", "localhost"),
        ("my_links.example.com", "my_links.example.com"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("München.example", "xn--mnchen-3ya.example"),
        ("почта.рф:80", "xn--80a1acny.xn--p1ai"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:DB8::1]:80", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_host_has_one_name(text: str, name: str) -> None:
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a..example",
        ".example",
        "-a.example",
        "a-.example",
        "a b.example",
        "a/b",
        "../etc",
        "..%2fetc",
        "a\\b",
        "a\0b",
        "user@example.com",
        "http://example.com",
        "[fe80::1%/../../etc]",
        "fe80::1%/../../etc",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        "*.example.com",
        "a💥..example",
    ],
)
def test_what_is_no_name_of_a_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not the name of a host"):
        host_name(text)
