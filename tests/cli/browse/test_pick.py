"""``threadkeep browse`` on a real terminal: what it prints, its exit statuses, and Ctrl+G of
shells."""

import os
import re
import shutil
import stat
from pathlib import Path

import pytest

from cli.errors import INTERRUPTED
from tests import ROOT
from tests.cli.browse.terminal import Terminal
from tests.samples.homes import encoded, lines, thread_id, write
from tests.support.command import COMMAND, Cli, Inside

TITLES = ("mend the parser", "draw a chart")
CTRL_C, CTRL_G, CTRL_R, CTRL_U = "\x03", "\x07", "\x12", "\x15"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of two threads, the index of which is up to date."""
    home = tmp_path / "home"
    (tmp_path / "folder").mkdir()
    for number, title in enumerate(TITLES):
        facts = {"cwd": str(tmp_path / "folder"), "git": {"branch": "main"}}
        write(home, number, encoded(lines(number, title, **facts)))
    found = Inside(home, tmp_path)
    found.run("backfill")
    return found


def browsing(cli: Cli, *arguments: str, stdout: int | None = None) -> Terminal:
    """The command on a terminal."""
    words = [*COMMAND, "browse", *arguments]
    return Terminal(words, cli.environment(), cli.base, stdout)


def picked(cli: Cli, keys: str, *arguments: str) -> tuple[int, str]:
    """The exit status and stdout of ``--pick``, with ``keys`` pressed when the list is there."""
    out, into = os.pipe()
    with browsing(cli, "--pick", *arguments, stdout=into) as terminal:
        os.close(into)
        terminal.until(TITLES[0])
        terminal.send(keys)
        status = terminal.end()
        assert "Traceback" not in terminal.text
    with open(out, encoding="utf-8") as written:
        return status, written.read()


def test_pick_prints_the_id_and_draws_on_stderr(cli: Cli) -> None:
    assert picked(cli, "\r") == (0, f"{thread_id(1)}\n")
    wanted = f"mend the parser|{cli.base}/folder|main|{thread_id(0)}\n"
    template = "{title}|{cwd}|{branch}|{id}"
    assert picked(cli, "\r", "--format", template, "parser") == (0, wanted)


def test_the_value_of_a_filter_may_be_quoted_for_the_shell(cli: Cli) -> None:
    for number, folder in enumerate(("my folder", "my"), 2):
        write(cli.home, number, encoded(lines(number, folder, cwd=str(cli.base / folder))))
    with browsing(cli, f"folder:{cli.base}/my folder") as terminal:
        terminal.until(f'folder:"{cli.base}/my folder"')
        terminal.until("1 thread")
        terminal.send("\x1b\x1b\x03")
        terminal.end()


def test_leaving_without_a_thread_has_a_status_of_its_own(cli: Cli) -> None:
    assert picked(cli, "\x1b") == (1, "")
    assert picked(cli, CTRL_C) == (INTERRUPTED, "")
    with browsing(cli) as terminal:
        terminal.until(TITLES[0])
        terminal.send("\x1b")
        assert terminal.end() == 0


def test_threadkeep_alone_opens_it_on_a_terminal(cli: Cli) -> None:
    for options in ([], ["--home", str(cli.home)]):
        with Terminal([*COMMAND, *options], cli.environment(), cli.base) as terminal:
            terminal.until(TITLES[0])
            terminal.send("\x1b")
            assert terminal.end() == 0


def test_archived_threads_can_be_shown_first(cli: Cli) -> None:
    cli.run("archive", thread_id(0))
    with browsing(cli, "--archived") as terminal:
        terminal.until(TITLES[0])
        assert TITLES[1] not in terminal.text
        terminal.send("\x1b\x1b")
        terminal.send(CTRL_C)
        terminal.end()


def test_a_wrong_key_file_is_told_before_the_screen_is_drawn(cli: Cli) -> None:
    path = Path(cli.environment()["HOME"]) / ".config" / "threadkeep" / "keys.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[picker]\nnothing = 'f9'\n", "utf-8")
    with browsing(cli) as terminal:
        assert terminal.end() == 2
        assert "line 2: [picker] has no action nothing" in terminal.text
        assert TITLES[0] not in terminal.text


def codex_in(folder: Path, script: str) -> dict[str, str]:
    """An environment with a ``codex`` that is a shell script."""
    folder.mkdir()
    (folder / "codex").write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    (folder / "codex").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_ctrl_r_continues_the_thread_in_codex_in_its_folder(cli: Cli) -> None:
    script = 'test -t 1 && on=terminal; echo "codex:$1:$2:$(pwd):$on"'
    env = codex_in(cli.base / "bin", script)
    out, into = os.pipe()
    words = [*COMMAND, "browse"]
    with Terminal(words, cli.environment(env), cli.base, into) as terminal:
        os.close(into)
        terminal.until(TITLES[0])
        terminal.send(CTRL_R)
        terminal.until(f"codex:resume:{thread_id(1)}:{cli.base}/folder:terminal")
        assert terminal.end() == 0
    os.close(out)


def test_where_codex_cannot_be_started_the_command_is_printed(cli: Cli) -> None:
    env = codex_in(cli.base / "bin", "exit 9")
    with Terminal([*COMMAND, "browse"], cli.environment(env), cli.base) as terminal:
        terminal.until(TITLES[0])
        (cli.base / "bin/codex").write_text("#!/nowhere/to/be/found\n")
        terminal.send(CTRL_R)
        terminal.until(f"codex resume {thread_id(1)}")
        terminal.until("cannot be run: No such file or directory")
        terminal.until("or run the command above")
        assert terminal.end() == 3


SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], "PS1='> '; . {}"),
    "zsh": (["-f", "-i"], "PS1='> '; . {}"),
    "fish": (["--no-config"], "function fish_prompt; echo '> '; end; source {}"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_ctrl_g_inserts_the_thread_that_is_picked(shell: str, cli: Cli) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell}")
    page = (ROOT / "docs" / "browsing.md").read_text("utf-8")
    function = re.search(rf"(?ms)^```{shell}\n(.*?)^```", page)
    assert function
    (cli.base / "function").write_text(function[1], "utf-8")
    binary = cli.base / "bin"
    binary.mkdir()
    called = binary / "threadkeep"
    called.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n', "utf-8")
    called.chmod(called.stat().st_mode | stat.S_IXUSR)
    env = cli.environment({"PATH": f"{binary}:{os.environ['PATH']}"})
    options, setup = SHELLS[shell]
    with Terminal([program, *options], env, cli.base, size=(200, 30)) as terminal:
        terminal.send(f"{setup.format(cli.base / 'function')}; echo set''up\r")
        terminal.until("setup\r\n")
        terminal.until("> ")
        terminal.send(CTRL_G)
        terminal.until(TITLES[0])
        terminal.send("\r")
        terminal.until(f"threadkeep resume --exec {thread_id(1)}")
        terminal.send(f"{CTRL_U}echo picked: {CTRL_G}")
        terminal.until(TITLES[0])
        terminal.send("\r")
        terminal.until(thread_id(1))
        terminal.send("\r")
        terminal.until(f"picked: {thread_id(1)}\r\n")
        terminal.send("exit\r")
        terminal.end()
