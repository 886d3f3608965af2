"""Killed before every step and at random moments, a pull leaves what the next one makes whole."""

import shutil
from pathlib import Path

from tests.crash.nursery import MOVED, THERE, Ended, deaths, run
from tests.samples.homes import encoded, event, lines, write
from tests.support.checks import codes, listed, synced, verified


def test_a_pull(tmp_path: Path) -> None:
    begin, now = tmp_path / "begin", tmp_path / "now"
    there = begin / THERE
    pulled = [write(there, 1), write(there, 1, segment=1), write(there, 3)]
    here = write(begin / "home", 2)
    synced(begin / "home", begin / "index.sqlite3")
    home, index = now / "home", now / "index.sqlite3"
    wanted = {path.name: path.read_bytes() for path in (*pulled, here)}

    def die(fatal: int | None, after_s: float) -> Ended:
        shutil.rmtree(now, ignore_errors=True)
        shutil.copytree(begin, now)
        return run("pull", home, index, fatal=fatal, after_s=after_s)

    for moment in deaths("pull", die):
        found = {path.name: path.read_bytes() for path in home.rglob("rollout-*")}
        assert found.items() <= wanted.items(), moment
        assert len(found) == 1 or pulled[1].name in found, moment
        assert run("pull", home, index).status == 0, moment
        found = {path.name: path.read_bytes() for path in home.rglob("rollout-*")}
        assert found == wanted, moment
        assert MOVED in listed(home, index), moment
        assert codes(verified(home, index)) == {}, moment


def test_a_pull_of_what_is_new(tmp_path: Path) -> None:
    """The newest rollout grows, and the one that it goes on from comes."""
    begin, now = tmp_path / "begin", tmp_path / "now"
    line = encoded([event("2026-05-28T20:01:00.000Z", "agent_message", message="x" * 100_000)])
    content = encoded(lines(1, "prompt 1"))
    there = begin / THERE
    theirs, first = write(there, 1, content + line * 20, segment=1), write(there, 1)
    write(begin / "home", 1, content + line[:40], segment=1)
    synced(begin / "home", begin / "index.sqlite3")
    home, index = now / "home", now / "index.sqlite3"
    wanted = {path.name: path.read_bytes() for path in (theirs, first)}

    def die(fatal: int | None, after_s: float) -> Ended:
        shutil.rmtree(now, ignore_errors=True)
        shutil.copytree(begin, now)
        return run("pull", home, index, fatal=fatal, after_s=after_s)

    for moment in deaths("pull what is new", die):
        found = {path.name: path.read_bytes() for path in home.rglob("rollout-*")}
        assert wanted[theirs.name].startswith(found[theirs.name]), moment
        assert found[theirs.name].startswith(content + line[:40]), moment
        assert first.name not in found or found == wanted, moment
        assert run("pull", home, index).status == 0, moment
        found = {path.name: path.read_bytes() for path in home.rglob("rollout-*")}
        assert found == wanted, moment
        assert codes(verified(home, index)) == {}, moment
