"""``threadkeep explain``."""

import os

from tests.state.explain.explained import codex_database
from tests.support.command import IN_REMOVED_FOLDER, Cli


def test_the_command_prints_verdict_evidence_and_what_to_do(corpus: Cli) -> None:
    ids = {"here": corpus.ids()[0], "archived": corpus.ids("--archived")[0]}
    ran = corpus.run("explain", ids["archived"], "--cwd", "/nowhere")
    assert ran.lines[0].startswith(
        "threadkeep list does not show it: archived (threadkeep list --a"
    )
    assert "do: threadkeep unarchive" in ran.out
    printed = corpus.run("explain", ids["here"], "--cwd", "/nowhere", "--json").json
    assert (printed["listed"], printed["listedInCodex"]) == (True, False)
    assert [r["code"] for r in printed["reasons"] if r["hides"]] == ["cwd_filter"]
    ran = corpus.run("explain", "nobody at all", status=3)
    assert "no thread has" in ran.err
    elsewhere = corpus.base / "sqlite"
    elsewhere.mkdir()
    codex_database(elsewhere)
    env = {"CODEX_SQLITE_HOME": str(elsewhere)}
    printed = corpus.run("explain", ids["here"], "--json", env=env).json
    assert "codex_row_missing" in {reason["code"] for reason in printed["reasons"]}
    assert os.listdir(elsewhere) == ["state_5.sqlite"]


def test_the_current_folder_may_be_gone(corpus: Cli) -> None:
    folder = corpus.base / "gone"
    folder.mkdir()
    (id_,) = corpus.ids("--limit", "1")
    ran = corpus.run("explain", id_, cwd=folder, prefix=IN_REMOVED_FOLDER)
    assert ran.lines[0] == "threadkeep list and Codex's picker show it."
    assert "has been removed" in ran.err
