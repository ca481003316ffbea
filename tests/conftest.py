"""For all tests: log lines go to the standard library, plainly, and are shown for failures."""

import gc
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings

from support.new_stores import copy_new_stores
from support.ports import Ports
from support.postgres import NEEDS_POSTGRES, Postgres

if TYPE_CHECKING:
    from clicktrail.store import Store

structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,  # not with all local values: that takes seconds
        structlog.processors.JSONRenderer(default=repr),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.make_filtering_bound_logger(20),
)

# A test that Hypothesis drives may take its time, on a busy machine.
settings.register_profile("clicktrail", deadline=None)
settings.load_profile("clicktrail")

copy_new_stores()

# Whoever starts the tests in the background (`nohup`, `&`) ignores these, and so would every
# process that a test starts. A handler, other than ignoring, ends with the new program: signal(7).
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)


def pytest_configure(config: pytest.Config) -> None:
    """Let each worker begin to collect at another place: the first to come compiles for all."""
    gc.disable()
    worker = getattr(config, "workerinput", None)
    if worker and config.args_source is config.ArgsSource.TESTPATHS:
        rooms = sorted(str(each) for each in Path(__file__).parent.iterdir() if is_room(each))
        begin = int(worker["workerid"].removeprefix("gw")) * len(rooms) // worker["workercount"]
        config.args = [*rooms[begin:], *rooms[:begin]]


def is_room(path: Path) -> bool:
    """Whether a file or folder has tests in it."""
    return path.name.startswith("test_") or any(path.rglob("test_*.py"))


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    """Bring the tests into one order, which all workers have to agree on.

    Each worker is given a run of them, and one that is done takes from the ends of others' runs: so
    what is `early` comes at the beginning of a run, and nobody waits for it at the end of all.
    """
    items.sort(key=lambda item: str(item.path))
    yield
    runs = getattr(config, "workerinput", {}).get("workercount", 1)
    early = [item for item in items if item.get_closest_marker("early")]
    others = [item for item in items if not item.get_closest_marker("early")]
    for number, item in enumerate(early):
        others.insert(number % runs * len(items) // runs, item)
    items[:] = others


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through thousands of tests again and again."""
    gc.enable()
    gc.freeze()


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody listens on, unless the test does."""
    with Ports(1) as [number]:
        yield number


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of this process."""
    with Postgres() as running:
        yield running


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator["Store"]:
    """A new store in a file."""
    from clicktrail.store import Store

    opened = await Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=NEEDS_POSTGRES)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new store: in a file, and in a real PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'clicktrail.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.migrated()
