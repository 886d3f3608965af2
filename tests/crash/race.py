"""One process of a race: one kind of user, again and again until the time is up.

Its arguments are ROLE SECONDS HOME INDEX. It prints one JSON object: how often it
did its work, what it was told that nobody may be told, and what it last set.
"""

import json
import os
import random
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from state.repair.dump import dump_lines
from state.userdata.model import UserValue
from tests.samples.homes import encoded, event, thread_id, write
from tests.support.command import told_inside

STABLE: Final = range(40)
"""Threads that are there all the time; some of them grow."""
NAMED: Final = {"rename": range(6), "name": range(6, 12)}
"""Threads that get names, by who gives them."""
COMING: Final = range(100, 140)
"""Threads that come, are archived and go."""
MAY_BE_TOLD: Final = {
    "backfill": {"lease_held", "lease_lost"},
    "reindex": {"lease_held", "lease_lost"},
    "sync": {"lease_held"},
    "repair": {"plan_outdated"},
}

_UNDER_WAY = ("Indexing: ", "Another process is indexing messages: ")
"""What may be told while somebody else does the work of a job."""


class Told(Exception):
    """What a user was told, or was not, against the rules."""


class Racer:
    """A user of one home and index, with a role."""

    def __init__(self, role: str, home: Path, index: Path) -> None:
        self.role = role
        self.home = home
        self._index = index
        self.names: dict[str, str] = {}
        self._rounds = 0
        self._random = random.Random(role)

    def run(self, *arguments: str) -> Any:
        """The document that a command of ours gives; None if it gave way, as it may."""
        document, said = told_inside(self.home, self._index, *arguments)
        if document.get("error"):
            if document["error"]["kind"] in MAY_BE_TOLD.get(self.role, ()):
                return None
            raise Told(str(document["error"]))
        if said and not said.startswith(_UNDER_WAY):
            raise Told(said)
        return document

    def list(self) -> None:
        data = self.run("list", "--all", "--all-sources")["data"]
        lost = {thread_id(number) for number in STABLE} - {thread["id"] for thread in data}
        if lost:
            raise Told(f"{len(lost)} threads are not listed")

    def search(self) -> None:
        found = self.run("list", "--search", "PROMPT 7", "--all")["data"]
        if thread_id(7) not in {thread["id"] for thread in found}:
            raise Told("a thread is not found by its title")
        wanted = thread_id(self._random.choice(STABLE))
        if self.run("show", wanted)["thread"]["id"] != wanted:
            raise Told(f"{wanted} is not shown")

    def sync(self) -> None:
        self.run("sync")

    def backfill(self) -> None:
        self.run("backfill", "--force", "--batch-size", "9")

    def repair(self) -> None:
        self.run("repair", "--apply")

    def reindex(self) -> None:
        self.run("reindex")

    def rename(self) -> None:
        """Names for some threads; they must hold at once, as nobody else names these."""
        self._rounds += 1
        now = time.time_ns() // 1_000_000
        named = {thread_id(n): f"{self.role} {self._rounds}.{n}" for n in NAMED[self.role]}
        dump = self._index.with_name(f"{self.role}.txt")
        facts = [UserValue(id_, "name", name, now) for id_, name in named.items()]
        dump.write_text("".join(f"{line}\n" for line in dump_lines(facts)))
        self.run("restore", str(dump))
        self.names = named
        id_, name = self._random.choice([*named.items()])
        shown = self.run("show", id_)["thread"]["name"]
        if shown != name:
            raise Told(f"{id_} is called {shown!r}, not {name!r}")

    name = rename

    def codex(self) -> None:
        """What Codex and its users do to files."""
        number = self._random.choice(COMING)
        there = [*self.home.rglob(f"*{thread_id(number)}.jsonl")]
        if not there:
            write(self.home, number)
        elif self._random.random() < 0.5:
            there[0].unlink()
        else:
            archive = self.home / "archived_sessions"
            archive.mkdir(exist_ok=True)
            there[0].rename(archive / there[0].name)
        (grown,) = self.home.rglob(f"*{thread_id(self._random.choice(STABLE))}.jsonl")
        with grown.open("ab") as file:
            stamp = "2026-05-28T21:00:00.000Z"
            file.write(encoded([event(stamp, "agent_message", message="and so on")]))
        with (self.home / "session_index.jsonl").open("a") as names:
            entry = {"id": thread_id(number), "thread_name": f"codex {time.time_ns()}"}
            names.write(f"{json.dumps(entry)}\n")
        time.sleep(0.02)


def main() -> None:
    warnings.simplefilter("error", ResourceWarning)
    role, seconds, home, index = sys.argv[1:]
    racer = Racer(role, Path(home), Path(index))
    work: Callable[[], None] = getattr(racer, role)
    until = time.monotonic() + float(seconds)
    rounds = 0
    told: list[str] = []
    while time.monotonic() < until and len(told) < 5:
        try:
            work()
        except Told as problem:
            told.append(str(problem))
        rounds += 1
    json.dump({"role": role, "rounds": rounds, "told": told, "names": racer.names}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)
