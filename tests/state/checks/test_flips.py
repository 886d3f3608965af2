"""An index with random bytes in random places: every command has a defined outcome, and a repair
makes the index what a fresh one is."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.samples.homes import encoded, lines, thread_id, write
from tests.support.command import told_inside
from tests.support.indexes import meaning

FLIPS = int(os.environ.get("THREADKEEP_FLIPS", "10"))
COMMANDS = (
    ["status"],
    ["db", "check"],
    ["query", "--no-sync", "SELECT * FROM v_threads"],
    ["list", "--no-sync", "--all"],
    ["list", "--search", "prompt"],
    ["show", thread_id(3)],
    ["explain", thread_id(3)],
    ["du"],
    ["dump"],
    ["sync"],
    ["backfill", "--force"],
)
FINE = {"index_damaged", "not_an_index", "index_unavailable", "index_too_new", "index_missing"}


@pytest.fixture
def home(home: Path) -> Path:
    for number in range(20):
        write(home, number, archived=number % 6 == 5)
    spawn = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(1), "depth": 1}}}
    write(home, 20, encoded(lines(20, source=spawn, dynamic_tools=[{"name": "t"}])))
    return home


def flipped(data: bytes, chance: random.Random) -> bytes:
    """``data`` with a few other bytes, anywhere or in one page."""
    found = bytearray(data)
    page = chance.randrange(len(found) // 4096) * 4096
    for _ in range(chance.choice([1, 2, 8, 200])):
        near = chance.random() < 0.5
        at = page + chance.randrange(4096) if near else chance.randrange(len(found))
        found[at] = chance.choice([0, 0xFF, 0xA4, chance.randrange(256)])
    return bytes(found)


def test_whatever_bytes_are_wrong_the_outcome_is_defined(home: Path, index_path: Path) -> None:
    told_inside(home, index_path, "backfill")
    right = meaning(index_path)
    whole = index_path.read_bytes()
    seed = int(os.environ.get("THREADKEEP_CRASH_SEED", "1"))
    for number in range(FLIPS):
        chance = random.Random(f"{seed} {number}")
        for path in index_path.parent.iterdir():
            if path.name not in ("index.sqlite3", "index.sqlite3.lock"):
                path.unlink()
        index_path.write_bytes(flipped(whole, chance))
        for command in chance.sample(COMMANDS, 2):
            document, _ = told_inside(home, index_path, *command)
            error = document.get("error")
            assert not error or error["kind"] in FINE, (seed, number, command, error)
        document, _ = told_inside(home, index_path, "repair", "--deep", "--apply")
        error = document.get("error")
        if error:  # it is not ours any more, or of another version, as far as it says
            assert error["kind"] in FINE, (seed, number, error)
            shutil.copy(index_path, index_path.with_name("before"))
            told_inside(home, index_path, "reindex")
            document, _ = told_inside(home, index_path, "repair", "--deep", "--apply")
        assert document.get("left", {}).get("clean"), (seed, number, document)
        assert meaning(index_path) == right, (seed, number)
