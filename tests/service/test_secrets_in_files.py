"""A service whose secrets lie in files has them, and warns of those on its command line."""

import urllib.request
from pathlib import Path

from support.service import PATIENCE, Service

TOKEN = "Mark3dApiT0ken"
WARNING = "a secret is on the command line, where every user of this machine can see it:"


def status(service: Service) -> int:
    url = f"http://127.0.0.1:{service.api}/v1/streams/clicks/events?after=0"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return int(answer.status)


def test_a_secret_in_a_file_is_used_and_one_on_the_command_line_is_warned_of(
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    mounted = {"CLICKTRAIL_API_TOKEN_FILE": str(file)}
    with Service(tmp_path / "one", environment=mounted) as service:
        assert status(service) == 200
        assert WARNING not in service.log.read_text()
    with Service(tmp_path / "two", "--api-token", TOKEN) as service:
        assert status(service) == 200
        [warned] = [line for line in service.log.read_text().splitlines() if WARNING in line]
        assert "--api-token-file" in warned
        assert TOKEN not in warned
