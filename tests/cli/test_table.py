"""The table of commands: what it lists, and what a command loads."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli import later
from cli.commands import __path__ as folder
from cli.help.table import GROUPS, HELP
from tests.support.command import Cli, Inside, thread_id, write_rollout

HEAVY = {"sqlalchemy", "aiosqlite", "alembic", "pydantic", "zstandard", "rich", "asyncio"}
"""Libraries that are slow to load."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A small home with an index."""
    base = tmp_path_factory.mktemp("table")
    write_rollout(base / "home", 1)
    cli = Inside(base / "home", base)
    cli.run("sync")
    return cli


def at_the_end_of(cli: Cli, expression: str, *commands: list[str]) -> list[str]:
    """The items of an expression, evaluated in a process when its commands have ended."""
    program = (
        "import atexit, gc, sys\n"
        "bare = set(sys.modules)\n"  # with linecache, from Python 3.13 on
        f"atexit.register(lambda: print(*{expression}, file=sys.stderr))\n"
        "from cli.main import main\n"
        f"for words in {commands}:\n"
        "    sys.argv[1:] = words\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, words"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=cli.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.splitlines()[-1].split()


def loaded_by(cli: Cli, *commands: list[str]) -> set[str]:
    """The modules that a process has loaded when its commands have ended."""
    return set(at_the_end_of(cli, "set(sys.modules) - bare", *commands))


@pytest.mark.parametrize("words", [["--help"], ["list", "--limit", "1"], ["git-info", "--help"]])
def test_a_command_loads_its_own_module_and_nothing_slow(small: Cli, words: list[str]) -> None:
    loaded = loaded_by(small, words)
    commands = {name for name in loaded if name.startswith("cli.commands.")}
    own = {f"cli.commands.{words[0].replace('-', '_')}"} if words[0] in HELP else set()
    assert commands == own
    assert not HEAVY & loaded


def test_help_loads_nothing_that_only_the_work_needs(small: Cli) -> None:
    names = ["list", "search", "show", "stats", "du", "verify"]
    loaded = loaded_by(small, *([name, "--help"] for name in names))
    assert not (HEAVY | {"rollout.jsonl", "rollout.schema", "state.query", "state.sync"}) & loaded


@pytest.mark.parametrize(
    "words",
    [
        *(["list", *more] for more in ([], ["--json"], ["--no-sync"])),
        *(["search", "hello", *more] for more in ([], ["--json"], ["--no-sync"])),
        *(["status", *more] for more in ([], ["--json"])),
        *(["show", thread_id(1), *more] for more in ([], ["--outline"], ["--json"])),
    ],
)
def test_what_reads_an_index_in_step_loads_nothing_slow(small: Cli, words: list[str]) -> None:
    small.run("search", "hello")
    loaded = loaded_by(small, words)
    assert not HEAVY & loaded
    assert words[0] != "list" or not {"orjson", "hashlib", *later._NAMES} & loaded


@pytest.mark.parametrize("words", [["sync"], ["delete", "--dry-run", thread_id(1)]])
def test_pydantic_is_loaded_only_to_read_files(small: Cli, words: list[str]) -> None:
    assert "pydantic" not in loaded_by(small, words)


def test_a_command_searches_what_it_has_loaded_for_no_cycles(small: Cli) -> None:
    searches = "(one['collections'] for one in gc.get_stats())"
    frozen, *counts = map(
        int, at_the_end_of(small, f"(gc.get_freeze_count(), *{searches})", ["status"])
    )
    assert sum(counts) < 50
    assert frozen


def test_each_command_has_a_module_and_each_module_a_command() -> None:
    modules = {Path(name).stem for name in os.listdir(folder[0]) if name.endswith(".py")}
    assert modules - {"__init__"} == {name.replace("-", "_") for name in HELP}


def test_help_shows_all_commands_in_groups_with_whole_lines(small: Cli) -> None:
    shown = small.run("--help", env={"COLUMNS": "80"}).out
    rest = shown
    for title, commands in GROUPS.items():
        _, found, rest = rest.partition(f"\n{title}:\n")
        assert found
        for name in filter(HELP.get, commands):
            assert re.search(rf"(?m)^  {name} +{re.escape(HELP[name])}$", rest), name
    assert "..." not in shown.partition("Find and read:")[2]
    narrow = small.run("--help", env={"COLUMNS": "60"}).out
    assert max(map(len, narrow.splitlines())) <= 60
    assert " ".join(narrow.split()).count(" ".join(HELP["explain"].split())) == 1
    assert {small.run(*words, env={"COLUMNS": "80"}).out for words in ([], ["-h"])} == {shown}


def test_wrong_words_get_a_suggestion(small: Cli) -> None:
    for words, wrong, hint in (
        ("lst", "there is no command 'lst'", "did you mean list? threadkeep -h lists"),
        ("db chek", "db has no command 'chek'", "did you mean check? threadkeep db -h lists"),
        ("frobnicate", "there is no command 'frobnicate'", "threadkeep -h lists the commands"),
        ("recovery", "there is no command 'recovery'", "threadkeep help recovery shows a page"),
        ("list --format x", "list has no option --format", "browse, export have it; threadkeep"),
        ("list --columsn id", "list has no option --columsn", "did you mean --columns? threadkeep"),
        ("show --limit 3", "show has no option --limit", "list, search, stats, verify, … have it"),
        ("list --db x", "list has no option --db", "it goes before the command: threadkeep --db"),
        ("list --frob", "list has no option --frob", "threadkeep list -h shows what it takes"),
        ("list webhook", "list does not take 'webhook'", "threadkeep search webhook"),
        ("rm x", "there is no command 'rm'", "did you mean delete? threadkeep -h lists"),
        ("list .", "list does not take '.'", "threadkeep list --cwd ."),
        ("list last week", "list does not take 'last week'", "threadkeep list --since last-week"),
        ("list 5", "list does not take '5'", "threadkeep list --limit 5"),
        (
            "show -1 290-295",
            "show does not take '290-295'",
            "threadkeep show THREAD --turn 290-295",
        ),
        ("backfill status", "backfill does not take 'status'", "threadkeep status"),
        ("list --here", "list has no option --here", "did you mean --cwd .? threadkeep list -h"),
        (
            "stats --week",
            "stats has no option --week",
            "did you mean --since this-week? threadkeep",
        ),
        ("export --html", "export has no option --html", "did you mean --format html? threadkeep"),
        ("export -1 --output=", "--output is empty", "name a file or folder: --output PATH"),
        ("stats --by day,hours", "--by: 'hours' is nothing to count by", "give one of day, week,"),
        ("list --limit", "--limit needs a value", "threadkeep list -h shows"),
        ("list --asc=1", "--asc takes no value", "threadkeep list -h shows"),
        ("show", "show needs THREAD", "for example: threadkeep show 01a1e766"),
        ("--home x", "there is no command", "threadkeep -h lists the commands"),
    ):
        ran = small.run(*words.split(), status=2)
        line, next_line = ran.err.splitlines()
        assert line == f"threadkeep: {wrong}"
        assert next_line.startswith(f"  {hint}")
        assert ran.out == ""


def test_numbers_are_held_to_their_limits(small: Cli) -> None:
    def refused(*words: str) -> str:
        return small.run(*words, status=2).err

    assert "--limit: 0 is less than 1" in refused("list", "--limit", "0")
    assert "--batch-size: 201 is more than 200" in refused("backfill", "--batch-size", "201")
    for text in ("0.5", "nan"):
        assert f"{text} is less than 1" in refused("backfill", "--lease-seconds", text)
    assert "inf is more than" in refused("backfill", "--lease-seconds", "inf")
    assert "'x' is not a whole number" in refused("list", "--limit", "x")
