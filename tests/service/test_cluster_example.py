"""`make cluster` shows what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.postgres import NEEDS_POSTGRES

ROOT = Path(__file__).parents[2]


@NEEDS_POSTGRES
@pytest.mark.long
def test_the_cluster_loses_parts_and_no_click_and_ends_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, "examples/cluster.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 nodes are there" in done.stdout
    assert "Nothing was lost" in done.stdout
    assert done.stderr == ""
