"""A person's rights, seen from outside: less is kept from the start, and what is kept is erased."""

from pathlib import Path

from support.service import Service, email_with, hrefs, html_of

HTML = '<a href="http://a.example/x">x</a>'


def test_a_person_is_erased_while_the_service_runs_and_the_links_work_on(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        name = service.configuration_set()
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        assert service.request(link).status == 302
        service.wait_for_events(name, 1)
        said = service.cli("recipients", "forget", "Reader@Gmail.com", "--yes")
        assert "1  emails to this address alone" in said
        assert "1  clicks deleted" in said
        assert "Nothing is kept of" in service.cli(
            "recipients", "forget", "reader@gmail.com", "--yes"
        )
        assert service.request(link).status == 302
        first, second = (event["mail"] for event in service.wait_for_events(name, 2))
        assert first["destination"] == ["[erased]"]
        assert list(second) == ["messageId"]
        assert service.wait_for_clicks(name, 2)["clicks"] == 2
        service.stop()
        for path in service.data.iterdir():
            assert path.is_dir() or b"reader@gmail.com" not in path.read_bytes().lower(), path


def test_settings_keep_less_of_a_click(tmp_path: Path) -> None:
    flags = ("--privacy-ip", "truncate", "--privacy-user-agent", "family")
    with Service(tmp_path, *flags) as service:
        name = service.configuration_set()
        link = hrefs(html_of(service.send(email_with(HTML, name))))[0]
        service.request(link)
        [event] = service.wait_for_events(name, 1)
        assert event["click"]["ipAddress"] == "127.0.0.0"
        assert event["click"]["userAgent"] == "Firefox"
