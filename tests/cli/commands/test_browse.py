"""``threadkeep browse`` before and after its screen."""

from pathlib import Path

import pytest

from cli.commands.browse import FIELDS
from tests.support.command import Cli, Inside


@pytest.fixture
def nowhere(tmp_path: Path) -> Cli:
    """The command without a home."""
    return Inside(tmp_path / "home", tmp_path)


def test_without_a_terminal_it_names_the_commands_that_need_none(nowhere: Cli) -> None:
    for arguments in (["browse"], ["browse", "--pick", "word"]):
        ran = nowhere.run(*arguments, status=2)
        assert ran.out == ""
        assert ran.err.splitlines()[0] == "threadkeep: browse needs a terminal"
        assert "threadkeep list" in ran.err
        assert "threadkeep search" in ran.err


def test_format_is_checked_before_anything_else(nowhere: Cli) -> None:
    for template in ("{moon}", "{id", "id}", "{}"):
        ran = nowhere.run("browse", "--pick", "--format", template, status=2)
        assert "--format: unknown field" in ran.err
        assert all(f"{{{name}}}" in ran.err for name in FIELDS)
    assert "--pick" in nowhere.run("browse", "--format", "{id}", status=2).err


def test_help_says_what_a_newcomer_needs(nowhere: Cli) -> None:
    shown = " ".join(nowhere.run("browse", "-h").out.split())
    for key in ("Enter", "Ctrl+R", "Ctrl+F", "Ctrl+T", "Tab", "Esc", "F1", "?"):
        assert key in shown
    for word in ("project:", "since:", "tag:", "model:", "is:archived", "-word"):
        assert word in shown


def test_without_words_and_terminal_threadkeep_shows_its_help(nowhere: Cli) -> None:
    assert nowhere.run().out.startswith("Usage: threadkeep [OPTIONS] COMMAND")
