"""Killed at any step, what was set in Codex is taken over once."""

import json
import shutil
from pathlib import Path

from state.codex_db.database import PINNED_SECTION
from state.db.location import journal_path
from tests.crash.nursery import CHANGED, Ended, deaths, run
from tests.samples.homes import encoded, lines, write
from tests.state.codex.databases import Codex
from tests.support.checks import codes, synced, verified
from tests.support.indexes import rows


def test_what_is_taken_from_codex_is_whole_after_a_kill(tmp_path: Path) -> None:
    begin = tmp_path / "begin"
    home, index = tmp_path / "now" / "home", tmp_path / "now" / "index.sqlite3"
    content = [
        {"ordinal": ordinal, **line}
        for ordinal, line in enumerate(lines(3, history_mode="paginated"))
    ]
    path = write(begin / "home", 3, encoded(content))
    codex = Codex.empty(begin / "home")
    codex.insert(CHANGED, path, history_mode="paginated")
    synced(begin / "home", begin / "index.sqlite3")
    codex.change(
        "UPDATE threads SET name = 'by Codex', thread_section_id = ?, section_position = 1",
        PINNED_SECTION,
    )

    def die(fatal: int | None, after_s: float) -> Ended:
        shutil.rmtree(home.parent, ignore_errors=True)
        shutil.copytree(begin, home.parent)
        return run("sync", home, index, fatal=fatal, after_s=after_s)

    for moment in deaths("from Codex", die):
        synced(home, index)
        settings = [json.loads(line) for line in journal_path(index).read_bytes().splitlines()]
        assert sorted((one["key"], one["value"]) for one in settings) == [
            ("name", "by Codex"),
            ("pinned", "1"),
        ], moment
        assert rows(index, "SELECT name FROM threads") == [{"name": "by Codex"}], moment
        assert len(rows(index, "SELECT * FROM user_data")) == 2, moment
        assert codes(verified(home, index)) == {}, moment
        left = [file.name for file in home.iterdir() if file.name.startswith("state_5")]
        assert left == ["state_5.sqlite"], moment
