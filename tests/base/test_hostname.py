"""Names of hosts: one form, and nothing that is none."""

import pytest

from clicktrail.base.hostname import a_labels, domain_name, host_name, tracking_host
from clicktrail.errors import InvalidInput


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
        "[2001:db8::1]/evil",
        "[2001:db8::1]evil",
        "a.example:99999",
        "a.example:0",
        "0",
        "0x7f.1",
        "127.1",
        "1.2.3.4.5",
    ],
)
def test_what_is_no_name_of_a_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not the name of a host"):
        host_name(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Click.Example.com", "click.example.com"),
        ("click.example.com:8080", "click.example.com:8080"),
        ("клик.рф:8080", "xn--h1adbc.xn--p1ai:8080"),
        ("192.0.2.1:80", "192.0.2.1:80"),
        ("[2001:DB8::1]:80", "[2001:db8::1]:80"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("localhost:8480", "localhost:8480"),
    ],
)
def test_a_host_that_links_point_to_keeps_its_port(text: str, host: str) -> None:
    assert tracking_host(text) == host


@pytest.mark.parametrize("text", ["0.0.0.0", "0.0.0.0:80", "[::]", "::", "[::]:8480"])
def test_no_link_points_to_all_addresses_of_a_machine(text: str) -> None:
    with pytest.raises(InvalidInput, match="no link leads there"):
        tracking_host(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("example", "one label alone"),
        ("example.com:25", "leave out the port"),
        ("192.0.2.1", "an address"),
        ("http://example.com", "leave out the scheme"),
        ("example.com/path", "leave out the path"),
        ("*.example.com", "no wildcard"),
        ("a@example.com", "leave out the @"),
        ("a..example", "empty label"),
        ("-x-.com", "hyphen"),
        ("a" * 64 + ".com", "too long"),
        ("a b.com", "white space"),
        ("", "empty"),
    ],
)
def test_what_is_wrong_with_a_domain_is_said(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        domain_name(text)


def test_any_text_has_its_form_in_ascii_or_stays() -> None:
    assert a_labels("Пример.РФ.") == "xn--e1afmkfd.xn--p1ai"
    assert a_labels("EXAMPLE.com") == "example.com"
    assert a_labels("é..x") == "é..x"
    assert a_labels("\ud800") == "\ud800"
