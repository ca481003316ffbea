"""The files for containers: valid, and every setting, role, port and path in them is one."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compose_spec
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from clicktrail.service.service import ROLES
from clicktrail.settings.settings import Settings, load_settings
from clicktrail.settings.table import SETTINGS

DEPLOY = Path(__file__).parents[2] / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
COMPOSE = sorted(DEPLOY.glob("compose*.yaml"))
MANIFESTS: list[dict[str, Any]] = [
    each
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for each in yaml.safe_load_all(path.read_text("utf-8"))
]
PODS = [each for each in MANIFESTS if "template" in each.get("spec", {})]
BUDGETS = [each["spec"] for each in MANIFESTS if each["kind"] == "PodDisruptionBudget"]
[CONFIGURATION] = [each["data"] for each in MANIFESTS if each["kind"] == "ConfigMap"]
IMAGE = dict(
    word.split("=", 1)
    for line in re.findall(r"^ENV (.*)$", CONTAINERFILE, re.M)
    for word in shlex.split(line)
)


def title(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def in_force(environment: dict[str, str], tmp_path: Path) -> Settings:
    """Return what is in force in a container, its secrets in files of this machine."""
    names = {each.environment: each.name for each in SETTINGS}
    there = dict(environment)
    for variable in (each for each in environment if each.endswith("_FILE")):
        assert environment[variable].startswith("/run/secrets/")
        file = tmp_path / variable
        is_store = names[variable] == "store.url_file"
        file.write_text("postgresql://me:x@db/clicktrail" if is_store else "whatever")
        there[variable] = str(file)
    return load_settings({}, there)


def roles_in(command: list[str]) -> Iterator[str]:
    words = iter(command)
    assert next(words) == "serve"
    for flag in words:
        assert flag == "--role"
        yield next(words)


def test_the_image_listens_where_it_says(tmp_path: Path) -> None:
    settings = in_force({k: v for k, v in IMAGE.items() if k != "PATH"}, tmp_path)
    assert str(settings.data) in re.findall(r"^VOLUME (\S+)$", CONTAINERFILE, re.M)
    listening = {s.name: settings[s.name] for s in SETTINGS if s.name.endswith("listen")}
    ports = {each.port for each in listening.values() if each is not None}
    [exposed] = re.findall(r"^EXPOSE (.*)$", CONTAINERFILE, re.M)
    assert ports == set(map(int, exposed.split()))
    assert f":{settings['metrics.listen'].port}/healthz" in CONTAINERFILE
    assert re.findall(r"^USER (\S+)$", CONTAINERFILE, re.M) == ["10001:10001"]


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_compose_files_are_valid_and_name_settings(path: Path, tmp_path: Path) -> None:
    compose = yaml.safe_load(path.read_text("utf-8"))
    compose_spec.PyCompose.from_json(json.dumps(compose))
    for service in compose["services"].values():
        if service["image"] != "clicktrail":
            continue
        settings = in_force(IMAGE | service["environment"], tmp_path)
        assert settings["tracking.host"] == "click.example.com"
        assert set(roles_in(service.get("command", ["serve"]))) <= set(ROLES)
        listening = {settings[s.name] for s in SETTINGS if s.name.endswith("listen")} - {None}
        published = {int(each.rpartition(":")[2]) for each in service.get("ports", ())}
        assert published <= {each.port for each in listening}
        assert service["read_only"]
        mounted = {f"/run/secrets/{name}" for name in service.get("secrets", ())}
        named = {v for k, v in service["environment"].items() if k.endswith("_FILE")}
        assert named == mounted


@pytest.mark.parametrize("manifest", MANIFESTS, ids=title)
def test_manifests_are_valid(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, desired_version="1.31", strict=True)


@pytest.mark.parametrize("manifest", PODS, ids=title)
def test_pods_name_settings_roles_and_ports(manifest: dict[str, Any], tmp_path: Path) -> None:
    pod = manifest["spec"]["template"]["spec"]
    [container] = pod["containers"]
    environment = {each["name"]: each["value"] for each in container.get("env", ())}
    settings = in_force(IMAGE | CONFIGURATION | environment, tmp_path)
    [role] = roles_in(container["args"])
    assert role in ROLES
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports["metrics"] == settings["metrics.listen"].port
    for name in ports.keys() - {"metrics"}:
        assert ports[name] == settings[f"{role}.listen"].port
    labels = manifest["spec"]["template"]["metadata"]["labels"]
    assert labels in [each["selector"]["matchLabels"] for each in BUDGETS]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {each["mountPath"] for each in container["volumeMounts"]} >= {
        str(settings.data),
        "/tmp",
        f"{settings.data}/keys.json",
    }
