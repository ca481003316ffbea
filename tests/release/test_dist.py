"""What is released: built from any copy the same bytes, whole, and enough for a new machine."""

import http.client
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.service import PATIENCE, Service, email_with, hrefs, html_of

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SET_UP = 600.0
"""Seconds that building or installing may take on the busiest machine."""


def test_the_versions_that_were_tested_are_those_that_are_named() -> None:
    """Each dependency has one, and its bounds let that one in."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    tested = {canonicalize_name(name): version for name, version in pins.items()}
    groups = PROJECT["dependency-groups"]
    extras = PROJECT["project"]["optional-dependencies"].values()
    named = [*PROJECT["project"]["dependencies"], *(each for extra in extras for each in extra)]
    named += [each for name in ("dev", "demo", "browser", "dist") for each in groups[name]]
    wanted = [each for each in map(Requirement, named) if each.name != "clicktrail"]
    assert {each.name for each in wanted if canonicalize_name(each.name) not in tested} == set()
    for each in wanted:
        assert each.specifier.contains(tested[canonicalize_name(each.name)]), each


def copy(folder: Path, mode: int) -> Path:
    """Return a copy of the checkout, as another machine might have it: times, modes, its path."""
    unshared = shutil.ignore_patterns(".*", "__pycache__", "dist", "clicktrail-*", "found")
    shutil.copytree(ROOT, folder, ignore=unshared, copy_function=shutil.copyfile)
    shutil.copyfile(ROOT / ".gitignore", folder / ".gitignore")
    for path in (*folder.rglob("*"), folder):
        path.chmod(mode | 0o111 if path.is_dir() else mode)
        os.utime(path, (mode, mode))
    return folder


def build(source: Path, *flags: str) -> dict[str, bytes]:
    """Return what `make dist` makes of a checkout, by name."""
    out = ("--outdir", str(source / "dist"))
    command = ("-m", "build", "--no-isolation", *flags, *out, str(source))
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=SET_UP
    )
    assert not done.returncode, done.stdout + done.stderr
    return {path.name: path.read_bytes() for path in sorted((source / "dist").iterdir())}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution."""
    pytest.importorskip("build", reason="there is no `build`: tools/setup_venv.py dev dist")
    source = copy(tmp_path_factory.mktemp("dist") / "one", 0o644)
    build(source)
    return source / "dist"


@pytest.mark.long
def test_it_is_built_the_same_wherever_it_is_built(dist: Path, tmp_path: Path) -> None:
    again = build(copy(tmp_path / "elsewhere", 0o600))
    assert again == {path.name: path.read_bytes() for path in sorted(dist.iterdir())}
    checked = [sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir())]
    done = subprocess.run(checked, capture_output=True, text=True, timeout=SET_UP)
    assert not done.returncode, done.stdout + done.stderr


@pytest.mark.long
def test_it_holds_all_that_there_is_and_nothing_else(dist: Path) -> None:
    package = ROOT / "src" / "clicktrail"
    files = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {"clicktrail/py.typed", "clicktrail/console/static/console.css"} <= files
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    assert {name for name in inside if ".dist-info/" not in name} == files
    [sdist] = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as sources:
        names = {name.partition("/")[2] for name in sources.getnames()}
    assert {f"src/{name}" for name in files} <= names
    assert {"constraints.txt", "deploy/clicktrail.service", "docs/settings.md"} <= names


@pytest.mark.long
def test_what_an_image_is_built_from_is_enough(dist: Path, tmp_path: Path) -> None:
    kept = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.M)
    (tmp_path / "context").mkdir()
    for path in copy(tmp_path / "whole", 0o644).iterdir():
        if path.name in kept:
            path.rename(tmp_path / "context" / path.name)
    made = build(tmp_path / "context", "--wheel")
    assert made == {path.name: path.read_bytes() for path in dist.glob("*.whl")}


@pytest.mark.long
def test_no_link_of_its_page_leads_to_a_file_that_is_not_there(dist: Path) -> None:
    """Indexes show the README, and have none of the files that it leads to."""
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [name] = [each for each in archive.namelist() if each.endswith("/METADATA")]
        metadata = archive.read(name).decode()
    links = re.findall(r"\]\(([^)]*)\)", metadata)
    assert "https://letsencrypt.org/repository/" in links
    assert [each for each in links if not each.startswith(("https://", "#"))] == []
    assert "## Use it for real" in metadata


class Installed(Service):
    """The service as it is installed, and not as it lies in the checkout."""

    def __init__(self, folder: Path, program: Path) -> None:
        super().__init__(folder, embedded=False, anew=True)
        self._program = program
        inherited = ("PYTHON", "VIRTUAL_ENV", "COVERAGE")
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(inherited)}

    def command(self, *arguments: str) -> list[str]:
        return [str(self._program), *arguments, "--data", str(self.data)]

    def cli(self, *arguments: str) -> str:
        command = self.command(*arguments)
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert not done.returncode, done.stderr
        return done.stdout

    def page(self, path: str) -> tuple[int, bytes]:
        """Return what the console answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.console, timeout=PATIENCE)
        connection.request("GET", path)
        answer = connection.getresponse()
        try:
            return answer.status, answer.read()
        finally:
            connection.close()


def interpreter(version: str) -> str:
    """Return a Python of that version; skips where this machine has none that runs."""
    for name in (sys.executable, shutil.which(f"python{version}")):
        if name and subprocess.run([name, "-V"], capture_output=True, text=True).stdout.startswith(
            f"Python {version}."
        ):
            return name
    pytest.skip(f"there is no Python {version} here")


@pytest.mark.long
@pytest.mark.parametrize("version", PYTHONS)
def test_installed_in_an_empty_environment_it_takes_an_email_and_a_click(
    dist: Path, tmp_path: Path, version: str
) -> None:
    python = interpreter(version)
    home = tmp_path / "venv"
    if python == sys.executable:
        venv.create(home, with_pip=False, symlinks=True)
    else:
        subprocess.run([python, "-m", "venv", "--without-pip", str(home)], check=True)
    pip = (sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"))
    [wheel] = dist.glob("*.whl")
    install = [*pip, "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=SET_UP)
    assert not installed.returncode, installed.stderr
    with Installed(tmp_path / "service", home / "bin" / "clicktrail") as service:
        name = service.configuration_set()
        [link] = hrefs(html_of(service.send(email_with('<a href="https://a.example/">', name))))
        assert service.request(link).location == "https://a.example/"
        [event] = service.wait_for_events(name, 1)
        assert event["click"]["url"] == "https://a.example/"
        status, page = service.page("/sign-in")
        assert status == 200
        styles = re.findall(rb'(?:href|src)="(/static/[^"]+)"', page)
        assert styles
        assert {service.page(path.decode())[0] for path in styles} == {200}
    assert '"level":"error"' not in service.log.read_text().replace(" ", "")
