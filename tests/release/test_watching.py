"""The alerts and the dashboard name what the service really measures, and the alerts come."""

import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from support.service import PATIENCE, Service

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "clicktrail.json").read_text("utf-8"))
ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


def expressions() -> dict[str, str]:
    """Return what is asked of Prometheus, by where it stands."""
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    found = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        found[variable["name"]] = variable.get("definition", "")
    return found


def families(service: Service) -> Iterator[Metric]:
    connection = http.client.HTTPConnection("127.0.0.1", service.monitor, timeout=PATIENCE)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return iter(text_string_to_metric_families(text))


def test_they_name_what_there_is_and_nothing_else(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        there = {
            each.name + ending
            for each in families(service)
            for ending in ENDINGS.get(each.type, ("",))
        }
    named = {
        name
        for expression in expressions().values()
        for name in re.findall(r"clicktrail_\w+", expression)
    }
    assert named
    assert named - there == set()
    page = (DEPLOY.parent / "docs" / "operations.md").read_text("utf-8")
    [table] = re.findall(r"## Metrics\n(.*?)\n## ", page, re.S)
    for name in named:
        assert re.sub("_(bucket|count|sum)$", "", name) in table, f"{name} is not documented"


def test_the_dashboard_can_be_laid_out() -> None:
    """No two panels have one number or one place."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(places)) == len(places)
    assert {x for x, _ in places} == set(range(24))


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("there is no promtool here: Debian's package `prometheus` has it")
    return found


def test_the_alerts_come_when_they_should_and_not_else(promtool: str) -> None:
    for words in (("check", "rules", str(ALERTS)), ("test", "rules", "alerts.test.yaml")):
        done = subprocess.run(
            [promtool, *words], cwd=ALERTS.parent, capture_output=True, text=True, timeout=PATIENCE
        )
        assert not done.returncode, done.stdout + done.stderr
    tested = (ALERTS.parent / "alerts.test.yaml").read_text("utf-8")
    rules = set(re.findall(r"alert: (\w+)", ALERTS.read_text("utf-8")))
    assert rules == set(re.findall(r"alertname: (\w+)", tested))
    assert rules == set(re.findall(r'alertname="(\w+)"', tested))


def test_prometheus_understands_the_dashboard(promtool: str, tmp_path: Path) -> None:
    asked = [
        target["expr"].replace("$__rate_interval", "5m")
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ]
    rules = [{"record": f"panel:{n}", "expr": each} for n, each in enumerate(asked)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert not done.returncode, done.stdout + done.stderr
