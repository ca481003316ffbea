"""What people see who come without a link that works, at the whole service."""

import signal
from pathlib import Path

from support.service import Service, wait_for

HOME = "https://www.example.com/?a=1&b=2"


def test_home_languages_and_pages_of_ones_own(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    flags = ("--role", "redirect", "--redirect-home", HOME, "--redirect-pages", str(pages))
    with Service(tmp_path / "service", *flags) as service:

        def page(path: str, language: str = "en") -> tuple[int, str]:
            answer = service.request(f"http://x{path}", headers={"Accept-Language": language})
            return answer.status, answer.body.decode()

        answer = service.request("http://x/")
        assert (answer.status, answer.location) == (302, HOME)
        for language, words in (
            ("en-GB", "This link does not work"),
            ("ru", "Эта ссылка не работает"),
            ("de-AT, en;q=0.5", "Dieser Link funktioniert nicht"),
            ("fr", "Ce lien ne fonctionne pas"),
            ("es-419", "Este enlace no funciona"),
            ("ja", "This link does not work"),
        ):
            for path in ("/c/AAAA", "/elsewhere"):
                status, text = page(path, language)
                assert status == 404
                assert words in text
                assert f'<a href="{HOME.replace("&", "&amp;")}">' in text
        (pages / "not-found.de.html").write_text("<h1>Nichts</h1><a href='{{home-url}}'>")
        service.signal(signal.SIGHUP)
        wait_for(
            lambda: (page("/", "x")[0] == 302 and page("/c/A", "de")[1][:4] == "<h1>") or None, "it"
        )
        assert "This link does not work" in page("/c/A")[1]


def test_without_a_home_there_is_nothing_at_the_root(service: Service) -> None:
    answer = service.request("http://x/")
    assert answer.status == 404
    assert b"<a " not in answer.body
