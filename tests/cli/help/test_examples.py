"""The examples of commands, which help shows."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.app import app
from cli.help.table import ENTRIES, GROUPS, HELP, examples
from tests.support.command import Cli

ROOT: Any = typer.main.get_command(app)


def parsed(line: str) -> str:
    """The name of the command that a line calls, which takes all the other words."""
    program, *words = shlex.split(line)
    assert program == "threadkeep"
    context = ROOT.make_context(program, words)
    names = []
    while words := [*context._protected_args, *context.args]:
        name, command, rest = context.command.resolve_command(context, words)
        names.append(name)
        context = command.make_context(name, rest, parent=context)
    return " ".join(names)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_command_has_two_examples_that_it_takes(
    name: str, corpus: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "names.jsonl").touch()
    monkeypatch.chdir(tmp_path)
    shown = corpus.run(*name.split(), "-h", env={"COLUMNS": "60"}).out
    assert max(map(len, shown.splitlines())) <= 60 or name == "query"
    lines = examples(name)
    assert shown.endswith("Examples:\n" + "".join(f"  {line}\n" for line in lines))
    assert len({*lines}) >= 2
    for line in lines:
        called = parsed(line)
        assert called == name or called.startswith(f"{name} ")


def test_the_table_holds_commands_in_groups_and_lines_that_fit_80_columns() -> None:
    assert sum(map(len, GROUPS.values())) == len(ENTRIES)
    for name, line in HELP.items():
        assert len(line) <= 80 - 2 - 15, name
        assert line.endswith(".")
