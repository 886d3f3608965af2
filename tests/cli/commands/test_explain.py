"""``threadkeep explain``."""

import os

from tests.samples.hostile import STYLE
from tests.state.explain.explained import codex_database
from tests.support.command import IN_REMOVED_FOLDER, Cli
from tests.support.terminal import on_terminal


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
    assert "no thread matches" in ran.err
    elsewhere = corpus.base / "sqlite"
    elsewhere.mkdir()
    codex_database(elsewhere)
    env = {"CODEX_SQLITE_HOME": str(elsewhere)}
    printed = corpus.run("explain", ids["here"], "--json", env=env).json
    assert "codex_row_missing" in {reason["code"] for reason in printed["reasons"]}
    assert os.listdir(elsewhere) == ["state_5.sqlite"]


def test_without_a_thread_it_counts_what_the_picker_shows(corpus: Cli) -> None:
    folder = corpus.run("list", "--limit", "1", "--json").json["data"][0]["cwd"]
    printed = corpus.run("explain", "--cwd", folder, "--json").json
    left_out = sum(group["threads"] for group in printed["hidden"])
    assert printed["threads"] == printed["shown"] + left_out
    assert printed["verdict"].startswith(f"Codex's picker in {folder} shows")
    assert [finding["code"] for finding in printed["findings"]] == ["codex_no_database"]
    ran = corpus.run("explain", "--cwd", "/nowhere")
    assert ran.lines[0] == "Codex's picker in /nowhere is empty: none began there."
    assert "do: codex resume --all" in ran.out
    assert "another home" not in ran.err
    seen = on_terminal(corpus, "explain", "--cwd", folder, columns=60)
    lines = STYLE.sub("", seen).splitlines()
    assert max(len(line) for line in lines if "do: " not in line) <= 60
    assert STYLE.search(seen)
    assert not STYLE.search(ran.out)


def test_it_says_if_codex_uses_another_home(corpus: Cli) -> None:
    env = {"CODEX_HOME": str(corpus.base)}
    ran = corpus.run("--home", str(corpus.home), "explain", env=env)
    assert f"CODEX_HOME={corpus.home} codex resume" in ran.err


def test_the_current_folder_may_be_gone(corpus: Cli) -> None:
    folder = corpus.base / "gone"
    folder.mkdir()
    (id_,) = corpus.ids("--limit", "1")
    ran = corpus.run("explain", id_, cwd=folder, prefix=IN_REMOVED_FOLDER)
    assert ran.lines[0] == "threadkeep list and Codex's picker show it."
    assert "has been removed" in ran.err
