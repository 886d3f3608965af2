"""Killed while it stores turns, an index gives them all the same, and is whole."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from rollout.schema.modes import LEGACY, PAGINATED
from tests.crash.nursery import Ended, deaths, run
from tests.samples.homes import thread_id
from tests.samples.long_threads import add, all_turns, content, in_store, put, truth, turn_lines
from tests.state.turns.test_outlines import synced_outlines
from tests.state.turns.test_outlines import truth as outlines_of
from tests.support.checks import codes, synced, verified
from tests.support.indexes import meaning, rows


@pytest.mark.parametrize("mode", [LEGACY, PAGINATED])
def test_turns_of_a_killed_index_are_those_of_the_files(mode: str, tmp_path: Path) -> None:
    home, begin, state = (tmp_path / name for name in ("home", "begin", "state"))
    (home / "sessions").mkdir(parents=True)
    paths = {number: put(home, number, content(number, mode, 90)) for number in (1, 2)}
    index = state / "index.sqlite3"
    begin.mkdir()
    synced(home, begin / index.name)
    in_store(home, begin / index.name, lambda store: all_turns(store, 1))
    in_store(home, begin / index.name, synced_outlines)
    add(paths[1], turn_lines(1, mode, 90, first=90), mode)  # one is to be stored anew
    synced(home, begin / index.name)
    right = {number: truth(path, mode) for number, path in paths.items()}
    whole = meaning(begin / index.name)

    def die(fatal: int | None, after_s: float) -> Ended:
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(begin, state)
        return run("turns", home, index, fatal=fatal, after_s=after_s)

    for moment in deaths(f"turns {mode}", die):
        counted = "SELECT f.turns, count(t.id) AS found FROM turn_checkpoints f"
        held = rows(index, f"{counted} JOIN turns t USING (thread_id) GROUP BY thread_id")
        assert all(row["turns"] == row["found"] for row in held), moment
        for number, turns in right.items():
            told = in_store(home, index, partial(all_turns, number=number))
            assert told == turns, moment
            outlined = in_store(home, index, partial(synced_outlines, number=number))
            assert outlined == outlines_of(paths[number]), moment
        assert meaning(index) == whole, moment
        assert not codes(verified(home, index)), moment
    stored = rows(index, "SELECT thread_id, turns FROM turn_checkpoints ORDER BY thread_id")
    assert [tuple(row.values()) for row in stored] == [(thread_id(1), 180), (thread_id(2), 90)]
