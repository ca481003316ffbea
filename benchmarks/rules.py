"""What opens and the rules of a configuration set cost where links are rewritten.

In instructions, which other work on the machine does not change, by ``valgrind``; run by
``benchmarks/rewrite.py``, which puts the table into its results. First all ways are warmed up; then
each is measured on the same emails, in a process forked from that.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from clicktrail.base.ids import new_id
from clicktrail.base.metrics import Metrics
from clicktrail.headers.fields import read_header
from clicktrail.ingress.rewriting import Rewriter
from clicktrail.keys.ringfile import KeyFile
from clicktrail.keys.token import TrackingHosts
from clicktrail.model import ConfigurationSet, Rules

ABOUT = (
    "The examples as whole emails in quoted-printable, through all that a door has rewritten; every"
    " link is new in each email. Valgrind's count of instructions, which include the reading of the"
    " header. `python benchmarks/rewrite.py --rules`"
)
EMAILS = 24
WARM = 12
"""Emails of each way before anything is counted."""
LEAVE = "https://www.paper-harbour.example/leave?list=weekly&u="
"""Where the emails' List-Unsubscribe leads: to the host of most links of the longest example."""
ALL = Rules(
    no_track_hosts=("social.example", "*.bank.example"),
    track_unsubscribe=False,
    no_track_text="(?i)unsub|abmelden|opt.?out|preferences",
    append="utm_source=news&utm_campaign={tag:campaign}",
    pass_parameters=True,
)
WAYS = {
    "without": (Rules(), False),
    "opens": (Rules(), True),
    "--no-track-host": (Rules(no_track_hosts=ALL.no_track_hosts), False),
    "--pass-parameters": (Rules(pass_parameters=True), False),
    "--no-track-unsubscribe": (Rules(track_unsubscribe=False), False),
    "--no-track-text": (Rules(no_track_text=ALL.no_track_text), False),
    "--append": (Rules(append=ALL.append), False),
    "all rules": (ALL, False),
    "all rules, with opens": (ALL, True),
}
Emails = list[tuple[bytes, str]]


def emails(count: int) -> Emails:
    """Return emails in turn of the examples, with links that nobody has seen."""
    from rewrite import EXAMPLES, fresh, places, wrapped  # noqa: PLC0415 - it runs this file

    documents = [path.read_text("utf-8") for path in sorted(EXAMPLES.glob("*.html"))]
    found = [places(each) for each in documents]
    made = []
    for number in range(count):
        at = number % len(documents)
        email = wrapped(fresh(documents[at], found[at]), "quoted-printable")
        id_ = new_id()
        made.append((f"List-Unsubscribe: <{LEAVE}{id_}>\r\n".encode() + email, id_))
    return made


def run(rewriter: Rewriter, way: str, todo: Emails) -> None:
    """Rewrite emails in a way."""
    rules, opens = WAYS[way]
    chosen = replace(ConfigurationSet(way), engagement=True, engagement_opens=opens, rules=rules)
    for raw, id_ in todo:
        tags = {"campaign": ["autumn"]}
        work = rewriter.rewrite(raw, id_, chosen, 1, read_header(raw), tags, None)
        try:
            work.send(None)  # nothing in it waits
        except StopIteration as done:
            if not done.value.links or done.value.pixel != opens:
                raise SystemExit(f"{way}: an email is not as it should be") from None


def child(folder: Path) -> None:
    """Fork a process for each way, and one that does nothing; print their numbers as JSON."""

    async def never(_: object) -> object:
        raise AssertionError("no email is as large")

    keys = KeyFile(folder / "keys.json")
    keys.create_if_missing()
    hosts = TrackingHosts("click.example.com", "click.example.com")
    rewriter = Rewriter(keys, hosts, Metrics(), never)  # type: ignore[arg-type]
    for way in WAYS:
        run(rewriter, way, emails(WARM))
    todo = emails(EMAILS)
    for way in ("", *WAYS):
        pid = os.fork()
        if pid == 0:
            if way:
                run(rewriter, way, todo)
            os._exit(0)
        os.waitpid(pid, 0)
        print(json.dumps([way, pid]), flush=True)


def instructions() -> dict[str, float]:
    """Return the instructions of each way, for one email. Raises `OSError` without valgrind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/%p.out"]
        done = subprocess.run(
            [*command, sys.executable, __file__, str(folder)],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )
        counted = {}
        for line in done.stdout.splitlines():
            way, pid = json.loads(line)
            text = (folder / f"{pid}.out").read_text()
            counted[way] = int(text.rpartition("\ntotals: ")[2].split()[0])
    nothing = counted.pop("")
    return {way: (count - nothing) / EMAILS for way, count in counted.items()}


if __name__ == "__main__":
    child(Path(sys.argv[1]))
