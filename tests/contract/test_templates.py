"""What every store does with templates."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from clicktrail.errors import AlreadyExists, InvalidInput, NotFound
from clicktrail.store import Store
from clicktrail.store.mail.templates import SIZE_LIMIT, EmailTemplate

HELLO = EmailTemplate("hello", "Hi {{name}}", "text", "<p>Grüße \udcff</p>", (("team", "shop"),))


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(store_url)
    yield opened
    await opened.close()


async def test_one_is_made_read_changed_and_deleted(store: Store) -> None:
    await store.templates.create(HELLO)
    assert await store.templates.get("hello") == replace(HELLO, html="<p>Grüße \ufffd</p>")
    with pytest.raises(AlreadyExists):
        await store.templates.create(HELLO)
    await store.templates.update(EmailTemplate("hello", "Other", html="x"))
    assert await store.templates.get("hello") == EmailTemplate(
        "hello", "Other", html="x", tags=HELLO.tags
    )
    await store.templates.delete("hello")
    for call in (store.templates.get, store.templates.delete):
        with pytest.raises(NotFound, match="'hello'"):
            await call("hello")
    with pytest.raises(NotFound):
        await store.templates.update(HELLO)


async def test_names_come_in_order_page_by_page(store: Store) -> None:
    for name in ("b", "_", "a", "B", "1"):
        await store.templates.create(replace(HELLO, name=name))
    first = await store.templates.page(limit=3)
    rest = await store.templates.page(first[-1][0])
    assert [name for name, _ in (*first, *rest)] == ["1", "B", "_", "a", "b"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"name": "no spaces"}, "template name"),
        ({"subject": ""}, "Subject"),
        ({"text": None, "html": ""}, "Text, Html"),
        ({"html": "ü" * (SIZE_LIMIT // 2)}, "at most"),
        ({"tags": (("k" * 129, ""),)}, "tag"),
    ],
)
async def test_what_cannot_be_kept_is_refused(
    store: Store, changed: dict[str, str], named: str
) -> None:
    with pytest.raises(InvalidInput, match=named):
        await store.templates.create(replace(HELLO, **changed))  # type: ignore[arg-type]
