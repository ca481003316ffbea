"""The documents are tested: what is not documented, or no longer there, fails."""

import ast
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from botocore.session import Session

import clicktrail
from clicktrail.store.database.metadata import derived
from clicktrail.store.schema import metadata
from support.ses import knows_more

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", ["settings", "commands", "sesv2"])
def test_pages_made_from_the_code_are_up_to_date(page: str) -> None:
    made = runpy.run_path(str(ROOT / "tools" / "make_docs.py"))[f"{page}_page"]()
    written = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert written == made, "run `make docs`"


def test_the_table_of_operations_has_each_of_sesv2_once_and_where_it_is() -> None:
    page = (ROOT / "docs" / "sesv2.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]\w+) \| (`.*?`) \|", page, re.MULTILINE)
    names = [name for name, _ in rows]
    assert len(set(names)) == len(names)
    model = Session().get_service_model("sesv2")
    ours = dict(rows)
    known = set(model.operation_names)
    assert set(names) <= known
    for name in names:
        http = model.operation_model(name).http
        assert f"`{http['method']} {http['requestUri'].rstrip('/')}`" in ours[name]
    new = sorted(known - set(names))
    if new and knows_more():
        pytest.skip(f"NOT LISTED: operations newer than sesv2_missing.py: {new}")
    assert new == []


def test_the_table_says_what_differs_of_no_operation_that_is_not_here() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "make_docs.py"))
    here = made["sesv2_page"]().partition("## Answered 501")[0]
    assert [name for name in made["DIFFERENCES"] if f"| {name} |" not in here] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = [target for target in LINK.findall(text) if "://" not in target]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert missing == []


def test_every_table_of_the_store_is_in_the_page_on_privacy() -> None:
    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    tables = {*metadata.tables, *derived.tables, "message_index"}
    assert tables - set(re.findall(r"`([a-z_]+)`", page)) == set()
    kept = page.partition("## What is kept")[2].partition("\n\nNothing of recipients")[0]
    where = "".join(re.findall(r"^\|[^|]*\|([^|]*)\|", kept, re.MULTILINE))
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", where)) - tables == {"orders"}  # a file


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "adr"
    named = LINK.findall((folder / "README.md").read_text(encoding="utf-8"))
    assert named == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_every_test_of_the_specification_exists_and_every_such_test_is_listed() -> None:
    listed = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "specification.md").read_text()))
    there = functions_in(ROOT / "tests" / "service" / "test_specification.py")
    there = {name for name in there if name.startswith("test_")}
    assert listed <= there
    assert there - listed <= {"test_an_email_without_a_configuration_set_is_not_tracked"}


def test_the_example_settings_of_the_readme_are_settings(tmp_path: Path) -> None:
    from clicktrail.settings.settings import load_settings

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    file = tmp_path / "clicktrail.toml"
    file.write_text(example)
    assert load_settings({}, {}, file)["tracking.host"] == "click.example.com"


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == clicktrail.__version__
