"""Many processes at one index at once: nobody is told that it is locked, and nothing is lost."""

import json
import subprocess
from pathlib import Path

import pytest

from state.userdata.journal import read_settings
from state.userdata.model import UserValue, newest_settings
from tests.crash.race import STABLE
from tests.samples.homes import thread_id, write
from tests.support.checks import codes, synced, verified
from tests.support.effort import PATIENCE_S, is_full
from tests.support.indexes import meaning, rows
from tests.support.warm import Forked

ROLES = ("list", "search", "sync", "backfill", "repair", "rename", "name", "codex")
SECONDS = 20 if is_full() else 1


@pytest.mark.parametrize(
    "more",
    [pytest.param((), marks=pytest.mark.full), ("reindex",)],
    ids=["eight", "and a reindex"],
)
def test_many_at_once(more: tuple[str, ...], home: Path, index_path: Path) -> None:
    for number in STABLE:
        write(home, number)
    synced(home, index_path)
    racers = [
        Forked(
            *(role, str(SECONDS), str(home), str(index_path)),
            function="tests.crash.race:main",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for role in (*ROLES, *more)
    ]
    ended = [racer.communicate(timeout=PATIENCE_S) for racer in racers]
    assert [err for _, err in ended if err] == []
    reports = {report["role"]: report for report in (json.loads(out) for out, _ in ended)}
    assert {role: report["told"] for role, report in reports.items() if report["told"]} == {}
    assert all(report["rounds"] for report in reports.values()), reports

    synced(home, index_path)
    if codes(verified(home, index_path)):
        raise AssertionError(verified(home, index_path).kept)
    names = reports["rename"]["names"] | reports["name"]["names"]
    assert len(names) == 12
    held = rows(index_path, "SELECT id, name FROM threads")
    assert {row["id"]: row["name"] for row in held if row["id"] in names} == names
    journal = newest_settings(read_settings(index_path)).values()
    assert {fact.thread_id: fact.value for fact in journal if isinstance(fact, UserValue)} == names

    fresh = index_path.with_name("fresh") / "index.sqlite3"
    fresh.parent.mkdir()
    index_path.with_name("facts.jsonl").rename(fresh.with_name("facts.jsonl"))
    synced(home, fresh)
    assert meaning(index_path) == meaning(fresh)
    assert {thread_id(number) for number in STABLE} <= {row["id"] for row in held}
