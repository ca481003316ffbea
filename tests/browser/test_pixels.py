"""A tracked email looks exactly like the untracked one, pixel for pixel, in a real browser.

Each example email goes through the rewriter as the HTML part of an email, with real tracking
links; both HTML parts are then shown by Chromium at the width of a phone and of a desktop, with
images, scripts and the network off. ``TEST_CORPUS`` may name a folder with more emails; the
placeholders of templates among them are filled in first, as the program that sends them would.

Only a style sheet that reads addresses may tell the two apart: a selector such as
``a[href*="shop"]``, or ``content: attr(href)``. No tracking link can look like its original to
those. ``:visited`` is no difference here, since nothing has been visited, and ``:link`` is none
anywhere: what was a link stays one.
"""

import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from pathlib import Path

import pytest

from clicktrail.base.ids import new_id
from clicktrail.keys.token import KEY_SIZE, Key, KeyRing, TrackingHosts
from clicktrail.model import HttpsPolicy, Reason
from clicktrail.rewrite import Policy, Rewritten, rewrite_message
from support.service import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip(
        "NOT TESTED: Chromium is missing, so nobody looked whether tracked emails look the same;"
        " run tools/install_browser.sh",
        allow_module_level=True,
    )
PLAYWRIGHT = pytest.importorskip(
    "playwright.sync_api",
    reason="NOT TESTED: playwright is missing, so nobody looked whether tracked emails look the"
    " same; install the dependency group 'browser'",
)
IMAGE = pytest.importorskip(
    "PIL.Image", reason="NOT TESTED: pillow is missing; install the dependency group 'browser'"
)
CHOPS = pytest.importorskip("PIL.ImageChops")

pytestmark = pytest.mark.long

WIDTHS = (375, 800)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--blink-settings=imagesEnabled=false",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.html"))
CORPUS = (
    sorted(Path(os.environ["TEST_CORPUS"]).glob("*.html")) if os.environ.get("TEST_CORPUS") else []
)
DOCUMENTS = EXAMPLES + CORPUS

ADDRESS = "http://email.invalid/"
HOSTS = TrackingHosts("click.tracker.example", "click.tracker.example")
TRACKED = re.compile(rb"https?://click\.tracker\.example/c/")
PLACEHOLDER = re.compile(rb'(href=")(?:\{\{|\[|<%)[^"]*(")')
LINK = re.compile(rb"<a\s[^>]*href=.?https?:", re.IGNORECASE)
READS_ADDRESSES = re.compile(rb"\[\s*href\s*[*^$|~]?=|attr\(\s*href", re.IGNORECASE)

NO_FRAME, TRIES = "Unable to capture screenshot", 10
"""What Chromium says where nothing was drawn in time, on a busy machine: asked again, it draws."""

Show = Callable[[bytes, int], bytes]
"""HTML in UTF-8, and a width in CSS pixels → a PNG of the whole page."""


@pytest.fixture(scope="module")
def show() -> Iterator[Show]:
    """Chromium. The page comes from here; each other request is refused."""
    with PLAYWRIGHT.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(
            java_script_enabled=False, reduced_motion="reduce", color_scheme="light"
        )

        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        shown = b""
        page.route("**/*", lambda route: route.abort())
        page.route(
            ADDRESS,
            lambda route: route.fulfill(body=shown, content_type="text/html; charset=utf-8"),
        )

        def one(html: bytes, width: int) -> bytes:
            nonlocal shown
            shown = html
            page.set_viewport_size({"width": width, "height": 900})
            for left in reversed(range(TRIES)):
                page.goto(ADDRESS, wait_until="load")
                try:
                    png: bytes = page.screenshot(full_page=True, animations="disabled")
                except PLAYWRIGHT.Error as error:
                    if NO_FRAME not in str(error) or not left:
                        raise
                else:
                    return png
            raise AssertionError("it returns, or raises")

        yield one
        browser.close()


def track(html: bytes) -> tuple[Rewritten, bytes]:
    """Send a document through the rewriter; return what came of it, and the HTML part."""
    raw = email_of(html)
    ring = KeyRing([Key(1, bytes(range(KEY_SIZE)), 0)])
    sealer = ring.sealer(new_id())
    policy = Policy(
        link=lambda index, url: HOSTS.prefix(url, HttpsPolicy.OPTIONAL) + sealer.seal(index, url),
        is_own=ring.is_tracking_link,
    )
    rewritten = rewrite_message(raw, policy)
    return rewritten, html_of(rewritten.message)


def email_of(html: bytes) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = "shop@example.com", "reader@example.org"
    message["Subject"] = "An email"
    message.set_content("The same as text.\n")
    message.add_alternative(html, "text", "html", cte="base64", params={"charset": "utf-8"})
    return message.as_bytes()


def html_of(raw: bytes) -> bytes:
    part = BytesParser(policy=SMTP).parsebytes(raw).get_body(("html",))
    assert part is not None
    html = part.get_payload(decode=True)
    assert isinstance(html, bytes)
    return html


def filled_in(path: Path) -> bytes:
    return PLACEHOLDER.sub(rb"\1https://merge.example/field\2", path.read_bytes())


def difference(before: bytes, after: bytes) -> str | None:
    """Say where two PNGs differ; ``None`` where all pixels are the same."""
    old, new = (IMAGE.open(io.BytesIO(png)).convert("RGB") for png in (before, after))
    if old.size != new.size:
        return f"the page is {new.size} instead of {old.size} pixels large"
    box = CHOPS.difference(old, new).getbbox()
    return None if box is None else f"pixels differ within {box} (left, top, right, bottom)"


def ink(png: bytes) -> float:
    """Return the share of pixels that are not of the most frequent colour."""
    image = IMAGE.open(io.BytesIO(png)).convert("RGB")
    pixels: int = image.width * image.height
    most: int = max(count for count, _ in image.getcolors(pixels))
    return 1 - most / pixels


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_tracked_email_looks_the_same(path: Path, show: Show, tmp_path: Path) -> None:
    html = filled_in(path)

    rewritten, tracked = track(html)

    if path in CORPUS and rewritten.reason is Reason.NO_LINKS and not LINK.search(html):
        pytest.skip("it holds no link")
    assert rewritten.reason is None
    assert len(rewritten.links) > 0
    assert len(TRACKED.findall(tracked)) == len(rewritten.links)
    for width in WIDTHS:
        before, after = show(html, width), show(tracked, width)
        (tmp_path / f"{width}-before.png").write_bytes(before)
        (tmp_path / f"{width}-after.png").write_bytes(after)
        assert ink(before) > 0.01, "the page is blank"
        seen = difference(before, after)
        if seen and READS_ADDRESSES.search(html):
            pytest.xfail(f"its style sheet reads addresses: {seen}")
        assert seen is None, f"at {width} pixels {seen}: see {tmp_path}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hello", b"Hallo"),
        (b"href", b"name"),
        (b"<b>", b"<i>"),
        (b"</a>", b""),
        (b"<p>", b"<p><p>&nbsp;"),
    ],
    ids=["a letter", "a link that is none", "another element", "no end tag", "a line more"],
)
def test_a_change_of_anything_else_would_be_seen(old: bytes, new: bytes, show: Show) -> None:
    html = b'<!DOCTYPE html><p>Hello <a href="http://example.com/">you</a> and <b>me</b> here'

    seen = difference(show(html, 375), show(html.replace(old, new), 375))

    assert seen is not None


def test_a_blank_page_would_be_noticed(show: Show) -> None:
    assert ink(show(b"<!DOCTYPE html><p>&nbsp;", 375)) == 0
