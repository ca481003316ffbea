"""A real nginx with an example of the documents."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.service import PATIENCE, wait_for

NEEDS_NGINX = pytest.mark.skipif(
    shutil.which("nginx") is None, reason="NOT TESTED: no nginx here (apt-get install nginx)"
)

_AROUND = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    {example}
}}
"""


def example_of(document: Path, replaced: Mapping[str, str]) -> str:
    """Return the example of a document, with ports and files of this machine in place of its."""
    text = document.read_text(encoding="utf-8").partition("```nginx\n")[2].partition("```")[0]
    for given, here in replaced.items():
        assert given in text
        text = text.replace(given, here)
    return text


@contextmanager
def nginx(folder: Path, example: str) -> Iterator[None]:
    """Run nginx with an example, which it must find in order."""
    configuration = folder / "nginx.conf"
    configuration.write_text(_AROUND.format(folder=folder, example=example))
    command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=PATIENCE)
    assert checked.returncode == 0, checked.stderr
    with subprocess.Popen(command) as running:
        try:
            listening = folder / "nginx.pid"  # written when all is listened on
            wait_for(
                lambda: (listening.exists() and listening.read_text()) or None, "a listening nginx"
            )
            yield
        finally:
            running.terminate()
            running.wait(PATIENCE)
