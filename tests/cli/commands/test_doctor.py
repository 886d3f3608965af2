"""``doctor`` finds what is wrong with the home, the index and the environment, and says what to do;
it works where other commands do not."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.installed import installed_with
from tests.state.codex.databases import Codex
from tests.support.checks import synced
from tests.support.command import Cli, Inside, write_rollout


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of two threads, which the index knows."""
    made = Inside(tmp_path / "home", tmp_path, {"PATH": str(tmp_path / "bin")})
    for number in range(2):
        write_rollout(made.home, number)
    synced(made.home, made.index)
    return made


def checks(cli: Cli, *, status: int = 0, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """What ``doctor`` finds, by name."""
    document = cli.run("doctor", "--json", status=status, **options).json
    found: dict[str, list[dict[str, Any]]] = {}
    for check in document["checks"]:
        found.setdefault(check["name"], []).append(check)
    states = [check["state"] for each in found.values() for check in each]
    assert document["problems"] == states.count("problem")
    assert all(check["next"] for each in found.values() for check in each if check["state"] != "ok")
    return found


def test_a_sound_installation_has_no_problems(cli: Cli) -> None:
    shown = cli.run("doctor")
    assert shown.err == "No problems found.\n"
    assert f"Python      {sys.version.split()[0]} (" in shown.out
    assert f"home        {cli.home}: 2 rollouts, " in shown.out
    assert f"index       {cli.index}: 2 threads, " in shown.out
    assert "not on PATH, which only resume --exec needs" in shown.out
    found = checks(cli)
    assert [check["state"] for check in found["backfill"]] == ["ok"]
    assert found["search"][0] == {
        "name": "search",
        "state": "note",
        "text": "2 threads to index",
        "next": "the next threadkeep search does it",
    }


def test_codex_is_asked_for_its_version(cli: Cli, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "codex"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho codex-cli 0.171.0\n")
    program.chmod(0o755)
    assert checks(cli)["Codex"][0]["text"] == f"0.171.0 ({program})"
    program.write_text("#!/bin/sh\nexit 3\n")
    (codex,) = checks(cli, status=1)["Codex"]
    assert (codex["state"], codex["next"]) == ("problem", "install Codex again")


def test_a_database_of_codexs_that_cannot_be_read_is_a_problem(cli: Cli) -> None:
    codex = Codex.empty(cli.home)
    (found,) = checks(cli)["Codex"]
    assert found["state"] == "note"
    codex.path.write_bytes(b"no database" * 999)
    (_, found) = checks(cli, status=1)["Codex"]
    assert "state_5.sqlite cannot be read: " in found["text"]
    assert found["next"] == "threadkeep codex-check shows what is wrong"
    codex.path.unlink()
    assert len(checks(cli)["Codex"]) == 1


def test_a_damaged_index_is_a_problem_and_stays(cli: Cli) -> None:
    cli.index.write_bytes(b"no database at all" * 300)
    (index,) = checks(cli, status=1)["index"]
    assert index["state"] == "problem"
    assert index["next"].startswith("threadkeep reindex")
    assert cli.index.read_bytes()[:18] == b"no database at all"
    shown = cli.run("doctor", status=1)
    assert "index       problem: " in shown.out
    assert shown.err == "1 problem.\n"


def test_no_index_is_made(cli: Cli) -> None:
    cli.index.unlink()
    (index,) = checks(cli)["index"]
    assert (index["state"], index["next"]) == ("note", "threadkeep list makes it")
    assert not cli.index.exists()


def test_what_is_behind_is_noted(cli: Cli) -> None:
    write_rollout(cli.home, 2)
    with closing(sqlite3.connect(cli.index)) as connection, connection:
        connection.execute("UPDATE backfill_state SET status = 'running', files_total = 8")
    found = checks(cli)
    assert found["files"][0]["text"] == "1 file changed since"
    assert found["backfill"][0]["text"] == "running, 2 of 8 files (25 %)"
    with closing(sqlite3.connect(cli.index)) as connection, connection:
        connection.execute("UPDATE backfill_state SET last_error = 'disk I/O error'")
    assert checks(cli, status=1)["backfill"][0]["text"].endswith("; it ended with: disk I/O error")


@pytest.mark.parametrize("inside", ["", "sessions"])
def test_a_wrong_home_is_a_problem(cli: Cli, tmp_path: Path, inside: str) -> None:
    wrong = Inside(cli.home / inside if inside else tmp_path / "none", tmp_path)
    (home,) = checks(wrong, status=1)["home"]
    assert ("did you mean" in home["text"]) == bool(inside)
    assert "--home" in home["next"]


def test_the_environment_is_shown_and_checked(cli: Cli, tmp_path: Path) -> None:
    given = {"CODEX_SQLITE_HOME": str(tmp_path / "nowhere"), "THREADKEEP_DB": str(cli.index)}
    shown, wrong = checks(cli, status=1, env=given)["variables"]
    assert f"THREADKEEP_DB={cli.index}" in shown["text"]
    assert wrong["text"] == f"CODEX_SQLITE_HOME is {tmp_path / 'nowhere'}, which is not a folder"


@pytest.mark.parametrize(
    ("mark", "tool"), [("pipx_metadata.json", "pipx"), ("uv-receipt.toml", "uv"), (None, "pip")]
)
def test_it_is_known_what_installed_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str | None, tool: str
) -> None:
    if mark:
        (tmp_path / mark).touch()
        monkeypatch.setattr(sys, "prefix", os.fspath(tmp_path))
    assert installed_with() == tool


def test_the_size_of_an_index_has_what_was_written_last(cli: Cli) -> None:
    with closing(sqlite3.connect(cli.index)) as connection:
        connection.execute("CREATE TABLE filler AS SELECT randomblob(900000)")
        log = cli.index.with_name(f"{cli.index.name}-wal")
        whole = cli.index.stat().st_size + log.stat().st_size
        assert log.stat().st_size > 900_000
        assert cli.run("status", "--json").json["indexBytes"] == whole
