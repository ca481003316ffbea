"""The import rule: base ← rewrite, journal, store ← stages ← wiring, cli; stages stay apart."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import clicktrail

SOURCE = Path(clicktrail.__file__).parent

BASE = {
    "errors",
    "model",
    "ids",
    "batch",
    "arn",
    "token",
    "files",
    "keyfile",
    "nodes",
    "vault",
    "dkimkey",
    "kinds",
    "settings",
    "settings_streams",
    "logs",
    "metrics",
    "hostname",
    "probe",
    "asgi",
}
MIDDLE = {"rewrite", "journal", "store"}
STAGES = {"ingress", "relay", "redirect", "publish", "console"}
TOP = {
    "wiring",
    "wired_destinations",
    "wired_nodes",
    "wired_samples",
    "rollcall",
    "monitor",
    "supervisor",
    "cli",
    "commands",
    "__main__",
}

# Which modules may import which outside libraries (module path prefixes below clicktrail/).
CONFINED = {
    "aiosmtpd": ("ingress/smtp",),
    "sqlalchemy": ("store/",),
    "alembic": ("store/",),
    "psycopg": ("store/postgresql",),
    "sqlite3": ("store/", "journal/sqlite"),
    "pydantic_handlebars": ("ingress/template",),
    "granian": ("asgi",),
    "starlette": ("ingress/api", "console/"),
    "aiosmtplib": ("relay/",),
    "dkim": ("ingress/dkim",),
    "botocore": ("ingress/sigv4", "publish/destinations/aws"),
    "typer": ("cli", "commands/"),
    "jinja2": ("console/",),
    "argon2": ("store/accounts",),
    "rich": ("cli", "commands/"),
    "confluent_kafka": ("publish/destinations/kafka",),
    "nats": ("publish/destinations/nats", "journal/jetstream", "journal/nodes"),
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).with_suffix("").as_posix()
        yield name, ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this test sees them"
            if node.module == "clicktrail":
                yield from (f"clicktrail.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def layer_of(part: str) -> int:
    for number, layer in enumerate((BASE, MIDDLE, STAGES, TOP)):
        if part in layer:
            return number
    pytest.fail(f"{part} has no layer: name it in tests/test_layers.py and docs/flow.md")


MODULES = dict(modules())


def test_every_part_has_a_layer() -> None:
    parts = {name.partition("/")[0] for name in MODULES} - {"__init__"}
    assert {layer_of(part) for part in parts} == {0, 1, 2, 3}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_its_layer_may(name: str) -> None:
    part = name.partition("/")[0]
    if part == "__init__":
        return
    layer = layer_of(part)
    for imported in imports(MODULES[name]):
        top, _, rest = imported.partition(".")
        other = rest.partition(".")[0]
        if top == "clicktrail" and other not in ("", part, "__version__"):
            below = layer_of(other)
            assert below < layer or (below == layer and layer in (0, 3)), (
                f"clicktrail/{name}.py imports {imported}: its layer may not"
            )
        for library, places in CONFINED.items():
            if top == library:
                assert name.startswith(places), f"{library} does not belong in {name}.py"


def test_base_modules_do_not_import_in_a_circle() -> None:
    edges = {
        name: {i.split(".")[1] for i in imports(MODULES[name]) if i.startswith("clicktrail.")}
        for name in BASE
        if name in MODULES
    }
    done: set[str] = set()
    while len(done) < len(edges):
        ready = {name for name, needs in edges.items() if name not in done and needs <= done}
        assert ready, f"a circle among {sorted(set(edges) - done)}"
        done |= ready


def test_every_library_that_is_imported_is_a_dependency() -> None:
    project = tomllib.loads((SOURCE.parent.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    texts = [*project["dependencies"], *(text for extra in extras for text in extra)]
    declared = {re.split(r"[<>=\[]", text)[0] for text in texts}
    of = packages_distributions()
    used = {name.partition(".")[0] for tree in MODULES.values() for name in imports(tree)}
    used -= {"clicktrail", *sys.stdlib_module_names}
    missing = {
        name for name in used if declared.isdisjoint(x.lower().replace("_", "-") for x in of[name])
    }
    assert missing == set()
    idle = declared - {x.lower().replace("_", "-") for name in used for x in of[name]}
    assert idle == set()


def test_files_stay_small() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert not {str(p.relative_to(SOURCE)): n for p, n in sizes.items() if n > 500}
