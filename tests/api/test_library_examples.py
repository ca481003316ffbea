"""The examples of the library as they stand: links open, and webhooks trust us alone."""

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from clicktrail.api import Event, OpenedLink, Tracking, new_keys
from support.service import PATIENCE, email_with, hrefs, html_of
from support.signing import BODY, SECRET, signed

EXAMPLES = Path(__file__).parents[2] / "examples"
HTML = '<a href="https://a.example/ü">A</a>'


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_bytes(new_keys())
    return path


def load(name: str) -> ModuleType:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_makes_links_and_opens_them(tmp_path: Path) -> None:
    def run(*more: str, given: bytes = b"") -> bytes:
        command = (sys.executable, EXAMPLES / "library_script.py", tmp_path / "k", "t.example")
        done = subprocess.run([*command, *more], input=given, capture_output=True, timeout=PATIENCE)
        assert not done.returncode, done.stderr
        return done.stdout

    [link] = hrefs(html_of(run(given=email_with(HTML).as_bytes())))
    assert run(link).decode().endswith(": https://a.example/ü\n")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600


def test_flask_sends_on_and_takes_webhooks(keys: Path) -> None:
    config = {
        "CLICKTRAIL_KEYS": str(keys),
        "CLICKTRAIL_HOST": "t.example",
        "CLICKTRAIL_WEBHOOK_SECRET": SECRET,
    }
    client = load("library_flask").create_app(config).test_client()
    [link] = hrefs(Tracking(keys, "t.example").rewrite_html(HTML).html)
    answer = client.get(link)
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://a.example/%C3%BC")
    assert client.get(f"{link}x").status_code == 404
    assert client.post("/clicktrail", data=BODY, headers=signed(BODY)).status_code == 204
    assert client.post("/clicktrail", data=BODY + b" ", headers=signed(BODY)).status_code == 401


def test_django_tracks_sends_on_and_takes_webhooks(keys: Path) -> None:
    from django.conf import settings
    from django.core.mail import EmailMultiAlternatives
    from django.test import Client

    settings.configure(
        ALLOWED_HOSTS=["*"],
        CLICKTRAIL_HOST="t.example",
        CLICKTRAIL_KEYS=str(keys),
        CLICKTRAIL_WEBHOOK_SECRET=SECRET,
        ROOT_URLCONF="library_django_urls",
    )
    example = load("library_django")
    urls = ModuleType("library_django_urls")
    urls.urlpatterns = example.clicktrail_urls  # type: ignore[attr-defined]
    sys.modules["library_django_urls"] = urls
    email = EmailMultiAlternatives("Hi", "Hi", "a@example.com", ["b@example.com"])
    email.attach_alternative(HTML, "text/html")
    email.attach_alternative(HTML, "text/html")
    message_id = example.tracked(email)
    links = hrefs(html_of(email.message().as_bytes()))
    seen: list[Any] = []

    def see(sender: object, **values: Any) -> None:
        seen.append(values.get("opened") or values.get("event"))

    example.clicked.connect(see)
    example.told.connect(see)
    client = Client()
    path = links[0].removeprefix("https://t.example")
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://a.example/%C3%BC")
    assert client.head(path).status_code == 302, "which is no click"
    assert client.get(f"{path}x").status_code == 404
    for body, status in ((BODY, 204), (BODY + b" ", 401)):
        got = client.post(
            "/clicktrail/", body, content_type="application/json", headers=signed(BODY)
        )
        assert got.status_code == status
    assert seen == [OpenedLink("https://a.example/ü", message_id, 0), seen[1]]
    assert isinstance(seen[1], Event)
    second = email.alternatives[1]
    [link] = hrefs(str(second[0]))
    assert Tracking(keys, "t.example").open(link).link == 1


def test_what_the_page_says_can_be_typed(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its programs, one after the other, with what they take from around them."""
    page = (EXAMPLES.parent / "docs" / "library.md").read_text("utf-8")
    [links, clicks, webhooks] = re.findall(r"```python\n(.*?)```", page, re.S)
    monkeypatch.chdir(keys.parent)
    names: dict[str, Any] = {"raw": email_with(HTML).as_bytes()}
    exec(links, names)
    [names["token"]] = hrefs(names["page"].html)
    names |= {"secret": SECRET, "body": BODY, "request": SimpleNamespace(headers=signed(BODY))}
    exec(clicks + webhooks, names)
    assert names["opened"].location == "https://example.com/"
    assert names["event"].click.bot.verdict == "human"
