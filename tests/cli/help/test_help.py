"""``threadkeep help``: commands, topics and the man page."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from cli.help.pages import TASKS, rendered
from cli.help.table import HELP
from tests import ROOT
from tests.support.command import Cli, Inside
from tests.support.terminal import on_terminal

TOPICS = {
    path.name if path.stem in HELP else path.stem: path for path in (ROOT / "docs").glob("*.md")
}
"""A page that is called as a command is asked for with its ending."""


@pytest.fixture
def nowhere(tmp_path: Path) -> Cli:
    """The command without a home: help needs none."""
    return Inside(tmp_path / "home", tmp_path)


def test_help_without_words_lists_commands_and_topics(nowhere: Cli) -> None:
    shown = nowhere.run("help").out
    top, _, topics = shown.partition("\nHow to:\n")
    assert top == nowhere.run("--help").out
    tasks, _, reference = topics.partition("\nReference:\n")
    assert [line.split()[0] for line in tasks.splitlines() if line] == [*TASKS]
    rest = [line.split()[0] for line in reference.splitlines()]
    assert rest == sorted(TOPICS.keys() - {*TASKS})
    assert not nowhere.index.exists()


def test_help_of_a_command_is_what_its_option_shows(nowhere: Cli) -> None:
    for words in (["list"], ["stats", "now"], ["db"], ["db", "check"]):
        assert nowhere.run("help", *words).out == nowhere.run(*words, "--help").out


def test_a_topic_is_a_page_of_the_documentation(nowhere: Cli) -> None:
    for name, path in TOPICS.items():
        assert nowhere.run("help", name).out == path.read_text("utf-8")
    for words, hint in (
        (["jsn"], "did you mean json? threadkeep help lists them"),
        (["db", "frob"], "threadkeep help lists them"),
        (["../README"], "threadkeep help lists them"),
    ):
        error = nowhere.run("help", *words, status=2).err
        wrong = f"there is no command or topic {' '.join(words)!r}"
        assert error == f"threadkeep: {wrong}\n  {hint}\n"


def test_a_page_fits_the_terminal_and_names_commands_for_links() -> None:
    page = TOPICS["cost"].read_text("utf-8")
    more = "See [json.md](json.md#list), [recovery](recovery.md), [how\nto](space.md)"
    more += " and [more](cost.md).\n\n![a picture](images/cost.svg)\n"
    drawn = rendered(f"{page}\n{more}", 60)
    assert not re.search("\x1b\\[[0-9;]*\\b4[0-7]m", drawn)  # no background
    text = re.sub("\x1b[^m]*m", "", drawn)
    assert max(map(len, text.splitlines())) <= 60
    words = " ".join(text.split())
    assert "threadkeep help recovery, how to (threadkeep help space) and more." in words
    assert ".md" not in text
    assert "picture" not in text


def test_help_fits_a_low_terminal_with_every_command_named(nowhere: Cli) -> None:
    lines = on_terminal(nowhere, "-h", columns=80, lines=24).splitlines()
    assert len(lines) < 24
    words = {word.strip(",:") for line in lines for word in line.split()}
    assert words >= HELP.keys()
    high = on_terminal(nowhere, "-h", columns=80, lines=200).splitlines()
    assert high == nowhere.run("-h").lines


def test_the_man_page_has_every_command_and_renders(nowhere: Cli) -> None:
    page = nowhere.run("help", "man").out
    for name in HELP:
        assert f'\n.SS "threadkeep {name.replace("-", chr(92) + "-")} ' in page
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("there is no groff")
    ran = subprocess.run(
        [groff, "-man", "-ww", "-z", "-Tutf8"], input=page, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_documentation_is_built_into_the_wheel() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        build = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["force-include"] == {"docs": "cli/docs"}
    assert "/docs" in build["sdist"]["include"]
