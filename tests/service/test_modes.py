"""Whatever the umask: nobody but the owner reads, writes or locks what the service makes."""

import os
import stat
from pathlib import Path

from support.service import Service, email_with, hrefs, html_of


def test_nothing_that_the_service_makes_is_for_others(tmp_path: Path) -> None:
    socket = tmp_path / "milter.sock"
    service = Service(tmp_path, "--milter-listen", f"unix:{socket}", embedded=False)
    # The folder was made by somebody who lets everybody in.
    service.data.mkdir()
    service.data.chmod(0o777)
    before = os.umask(0)
    try:
        with service.starting(umask=0):
            service.wait_until_ready()
            name = service.configuration_set()
            for command in (
                ("smtp-user", "create", "mailer"),
                ("access-key", "create", "--scope", "send"),
                ("keys", "rotate"),
                ("check",),
            ):
                service.cli(*command)
            raw = service.send(email_with("<a href=http://a.example/>x</a>", name))
            service.request(hrefs(html_of(raw))[0])
            service.wait_for_clicks(name, 1)
            made = [path for top in (service.data, service.mailbox) for path in top.rglob("*")]
            modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in [*made, service.mailbox]}
            assert {path.name: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
            assert len(modes) > 20
            assert stat.S_IMODE(socket.stat().st_mode) == 0o660
            service.stop()
    finally:
        os.umask(before)
