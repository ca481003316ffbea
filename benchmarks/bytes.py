"""How many bytes an email takes in the store, by table: in SQLite, and in PostgreSQL.

``PYTHONPATH=tests python benchmarks/bytes.py [--write]``. The emails are those of ``backlog.py``:
twenty links, some twenty headers, ten mailings one after the other. They come by the store's own
methods as they do in use: some at once are kept and finished, and indexed every now and then.
Another tree is measured by the same: ``PYTHONPATH=tests:/other/src``.
"""

import argparse
import asyncio
import random
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import psycopg

import backlog_house
from backlog_house import SET, email
from clicktrail.base.ids import now_us
from clicktrail.model import ConfigurationSet, MessageState
from clicktrail.store import Store
from support.postgres import NEEDS_TRIGRAMS, Postgres

RESULT = Path(__file__).parent / "results" / "bytes.md"
AT_ONCE, INDEXED = 50, 500
LEAST = 1.0
"""Bytes an email of a table that is shown."""

TABLES = """
SELECT coalesce(whole.relname, part.relname), sum(pg_relation_size(part.oid)),
  sum(pg_indexes_size(part.oid)), sum(pg_total_relation_size(part.oid))
FROM pg_class part LEFT JOIN pg_inherits ON inhrelid = part.oid
  LEFT JOIN pg_class whole ON whole.oid = inhparent
WHERE part.relkind = 'r' AND part.relnamespace = 'public'::regnamespace
GROUP BY 1 ORDER BY 4 DESC
"""
Size = tuple[str, float, float, float]
"""A table, its rows, its indexes, and all of it: in bytes an email."""


async def fill(url: str, number: int) -> None:
    store = await Store.open(url)
    await store.configuration.create_set(ConfigurationSet(SET))
    identity = await store.configuration.create_identity("example.com", SET)
    now, chance = now_us(), random.Random(1)
    backlog_house.MESSAGES = number
    for start in range(0, number, AT_ONCE):
        some = [
            email(n, now - (number - n) * 1000, chance, identity)
            for n in range(start, min(start + AT_ONCE, number))
        ]
        await asyncio.gather(*map(store.messages.add, some))
        sent = MessageState.SENT
        await asyncio.gather(
            *(store.messages.finish(m.id, sent, m.recipients, m.accepted_at) for m in some)
        )
        if (start + AT_ONCE) % INDEXED == 0:
            await index(store)
    await index(store)
    await store.close()


async def index(store: Store) -> None:
    while await store.search.index(INDEXED):
        pass


def in_postgresql(number: int, *, of_system: bool) -> list[Size]:
    with Postgres(of_system=of_system) as server:
        url = server.migrated()
        with psycopg.connect(url, autocommit=True) as look:
            before = {row[0]: row[1:] for row in look.execute(TABLES)}
            asyncio.run(fill(url, number))
            look.execute("VACUUM")
            found = look.execute(TABLES).fetchall()
    return [
        (name, *(float(now - was) / number for now, was in zip(sizes, before[name], strict=True)))
        for name, *sizes in found
    ]


def in_sqlite(number: int) -> list[Size]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clicktrail.db"
        asyncio.run(fill(f"sqlite:///{file}", number))
        with closing(sqlite3.connect(file)) as look:
            look.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            query = (
                "SELECT m.tbl_name, sum(pgsize * (m.type = 'table')),"
                " sum(pgsize * (m.type = 'index')), sum(pgsize)"
                " FROM dbstat JOIN sqlite_master m USING (name) GROUP BY 1 ORDER BY 4 DESC"
            )
            return [
                (name, *(size / number for size in sizes)) for name, *sizes in look.execute(query)
            ]


def lines_of(title: str, sizes: list[Size]) -> list[str]:
    total = sum(size[3] for size in sizes)
    lines = [f"## {title}: {total:.0f}", "", "| table | rows | indexes | all |"]
    lines.append("| --- | ---: | ---: | ---: |")
    for name, rows, indexes, whole in sizes:
        if whole >= LEAST:
            lines.append(f"| `{name}` | {rows:.0f} | {indexes:.0f} | {whole:.0f} |")
    return [*lines, ""]


def main() -> None:
    """Measure, and print the tables."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--emails", type=int, default=20_000)
    options.add_argument("--write", action="store_true", help=f"write {RESULT}")
    args = options.parse_args()
    lines = [
        "# Bytes of an email",
        "",
        f"{args.emails:,} emails with twenty links and some twenty headers, ten mailings one after"
        f" the other, {AT_ONCE} at once, indexed after each {INDEXED}; `VACUUM`; growth of each"
        " table by email. `PYTHONPATH=tests python benchmarks/bytes.py --write`",
        "",
    ]
    number = args.emails
    lines += lines_of("PostgreSQL without `pg_trgm`", in_postgresql(number, of_system=False))
    if NEEDS_TRIGRAMS.args[0]:
        lines += ["PostgreSQL with `pg_trgm`: NOT MEASURED, it is not there.", ""]
    else:
        lines += lines_of("PostgreSQL with `pg_trgm`", in_postgresql(number, of_system=True))
    lines += lines_of("SQLite", in_sqlite(number))
    text = "\n".join(lines)
    print(text)
    if args.write:
        RESULT.write_text(text.rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
