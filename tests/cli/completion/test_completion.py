"""What shells offer for the word at the cursor."""

import os
import socket
import sys
from pathlib import Path

import pytest

from cli.completion import values
from cli.help.pages import topics
from cli.help.shells import install
from cli.help.table import HELP
from cli.runtime.logs import _LEVELS
from rollout.schema.session_source import SOURCE_KINDS
from state.edit.metadata import MEMORY_MODES
from tests.support.command import COMMAND, Cli, Inside, thread_id, write_rollout
from tests.support.postgres.cluster import Fleet

ASKED = {"_THREADKEEP_COMPLETE": "1"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A home with an index: threads in two folders, one of them in the archive."""
    base = tmp_path_factory.mktemp("completion")
    for number in range(1, 4):
        write_rollout(base / "home", number, f"number {number}\n\x1b[1m", cwd=f"/w/{number % 2}")
    write_rollout(base / "home", 4, "put away", archived=True, provider="azure")
    cli = Inside(base / "home", base)
    cli.run("sync")
    return cli


def offered(cli: Cli, *words: str) -> dict[str, str]:
    """What may stand at the end of the last word, and what each is."""
    ran = cli.run(*words, env=ASKED)
    assert ran.err == ""
    return dict(line.split("\t") for line in ran.lines)


def test_commands_and_options_are_offered(small: Cli) -> None:
    assert offered(small, "") == HELP
    assert [*offered(small, "u")] == ["untag", "unpin", "unarchive"]
    assert [*offered(small, "db", "v")] == ["vacuum"]
    assert [*offered(small, "stats", "")] == ["now"]
    assert [*offered(small, "verify", "--s")] == ["--sample"]
    assert [*offered(small, "sync", "")] == ["--json", "--help"]
    assert "--asc" not in offered(small, "list", "--asc", "--")
    assert "--source" in offered(small, "list", "--source", "cli", "--")
    assert offered(small, "--h") == {
        "--home": "The Codex home. [default: ~/.codex]",
        "--help": "Show help and examples.",
    }
    assert offered(small, "frob", "") == {}


def test_threads_are_offered_by_id_with_their_titles_the_newest_first(small: Cli) -> None:
    ids = [thread_id(number)[:13] for number in (3, 2, 1, 4)]
    shown = offered(small, "show", "")
    assert [*shown] == ids
    assert shown[ids[0]].split(maxsplit=1)[1] == "number 3"
    assert [*offered(small, "show", thread_id(2)[:15].upper())] == [thread_id(2)]
    assert [*offered(small, "archive", ids[0], "")] == ids[1:3]
    assert [*offered(small, "unarchive", "019a")] == ids[3:]
    assert [*offered(small, "list", "--exclude", "019a")] == [thread_id(n) for n in (3, 2, 1, 4)]
    assert offered(small, "repair", "--plan", "") == {}
    assert offered(small, "show", "xyz") == offered(small, "show", ids[0], "") == {}
    assert {*offered(small, "memory", ids[0], "")} >= {*MEMORY_MODES, ids[1]}


def test_tags_and_statuses_are_offered(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    for number in (1, 2):
        write_rollout(cli.home, number, f"number {number}")
    assert offered(cli, "list", "--tag", "") == offered(cli, "tag", "") == {}
    cli.run("tag", "bug", thread_id(1), thread_id(2))
    cli.run("tag", "big,ui", thread_id(1))
    assert offered(cli, "list", "--tag", "B") == {"bug": "2 threads", "big": "1 thread"}
    assert [*offered(cli, "untag", "bug,")] == ["bug,big", "bug,ui"]
    ids = [thread_id(number)[:13] for number in (2, 1)]
    assert [*offered(cli, "tag", "bug", "")] == [*offered(cli, "pin", "")] == ids
    statuses = ["todo", "doing", "waiting", "done"]
    assert [*offered(cli, "list", "--status", "")] == statuses
    assert [*offered(cli, "mark", "")] == [*statuses, "none"]
    assert [*offered(cli, "mark", "done", "")] == ids


def test_what_is_in_the_trash_is_offered_to_be_restored(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    for number in (1, 2):
        write_rollout(cli.home, number, f"number {number}")
    assert offered(cli, "trash", "restore", "") == {}
    cli.run("delete", thread_id(1), "--yes")
    (delete, about), (thread, title) = offered(cli, "trash", "restore", "").items()
    assert (about.split(), thread) == (["now", "1", "thread"], thread_id(1))
    assert title.split() == ["now", "number", "1"]
    assert [*offered(cli, "trash", "restore", delete, "019a")] == [thread]


def test_values_of_options_are_offered(small: Cli) -> None:
    assert offered(small, "list", "--provider", "") == {"azure": "1 thread", "openai": "3 threads"}
    assert offered(small, "list", "--project", "") == {"0": "", "1": "", "w": ""}
    assert offered(small, "list", "--provider=a") == {"--provider=azure": "1 thread"}
    assert [*offered(small, "search", "x", "--cwd", "/w/")] == ["/w/1", "/w/0"]
    assert {*offered(small, "list", "--cwd", "=", "/w/")} == {"/w/0", "/w/1"}
    assert [*offered(small, "list", "--project", "")] == ["w", "1", "0"]
    assert [*offered(small, "list", "--source", "")] == [*SOURCE_KINDS]
    assert [*offered(small, "search", "--sort", "m")] == ["matches"]
    assert [*offered(small, "list", "--columns", "age,thread,m")] == ["age,thread,model"]
    assert [*offered(small, "stats", "--sort", "")] == ["cost", "tokens"]
    assert [*offered(small, "stats", "--by", "m")] == ["month", "model"]
    assert [*offered(small, "du", "--by", "e")] == ["era"]
    assert [*offered(small, "export", "x", "--format", "j")] == ["json", "jsonl"]
    assert "{title}" in offered(small, "browse", "--pick", "--format", "")
    assert [*offered(small, "watch", "--log-level", "")] == [*values.LEVELS]
    assert {*values.LEVELS} <= {*_LEVELS}
    assert offered(small, "help", "re").keys() >= {"recovery", "rename"}
    assert offered(small, "help", "").keys() == HELP.keys() | topics().keys() | {"man"}


def test_files_are_asked_for_only_where_they_are_meant(small: Cli) -> None:
    for words in (["--db", "x"], ["export", "x", "-o", "x"], ["stats", "--html", ""], ["dump", ""]):
        assert offered(small, *words) == {"": "file"}
    for words in (["--home", "x"], ["list", "--cwd", "proj"], ["relink", ""]):
        assert offered(small, *words) == {"": "dir"}
    assert offered(small, "rename", "x", "") == offered(small, "list", "--limit", "") == {}


def test_completion_writes_nothing_and_is_silent(small: Cli, tmp_path: Path) -> None:
    folder = small.index.parent
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_rollout(small.home, 9)
    assert len(offered(small, "show", "")) == 4
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    nowhere = Inside(tmp_path / "home", tmp_path)
    assert offered(nowhere, "show", "") == {}
    assert not nowhere.index.parent.exists()
    nowhere.index.parent.mkdir(parents=True)
    nowhere.index.write_bytes(b"garbage " * 999)
    assert offered(nowhere, "show", "") == {}
    assert offered(nowhere, "--home", "~nobody/x", "show", "") == {}


def test_completion_loads_nothing_slow(small: Cli) -> None:
    program = "import cli.main, sys\ntry: cli.main.main()\nfinally: print(*sys.modules)"
    ran = small.run("show", "", env=ASKED, prefix=[sys.executable, "-P", "-c", program])
    loaded = {*ran.lines[-1].split()}
    assert len(ran.lines) > 4
    assert not {"sqlalchemy", "pydantic", "rich", "asyncio", "markdown_it"} & loaded


def test_bash_completes_by_the_script_that_is_shown(small: Cli) -> None:
    path = f"{Path(COMMAND[0]).parent}{os.pathsep}{os.environ['PATH']}"
    script = (
        "source <(threadkeep --show-completion; true)\n"
        "complete -p threadkeep\n"
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _threadkeep_completion "$1"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    for words, shown in (
        (["show", "019a0000-0001"], [thread_id(1)[:13]]),
        (["db", ""], ["path    Print where", "check   Check the", "vacuum  Compact the"]),
    ):
        begun = ["-c", script, "-", "threadkeep", *words]
        lines = small.run(*begun, prefix=["bash"], env={"PATH": path}).lines
        assert lines[0] == "complete -o nosort -F _threadkeep_completion threadkeep"
        assert len(lines) == len(shown) + 1
        assert all(line.startswith(part) for line, part in zip(lines[1:], shown, strict=True))


def test_it_is_switched_on_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".bashrc").write_text("alias l=ls")
    for _ in range(2):
        script, settings = install("bash")
    assert settings == tmp_path / ".bashrc"
    assert script.read_text("utf-8").count("complete -F") == 1
    first, second = settings.read_text().splitlines()
    assert (first, second.count(str(script))) == ("alias l=ls", 2)
    assert install("fish") == (tmp_path / ".config/fish/completions/threadkeep.fish", None)
    assert install("zsh")[1] == tmp_path / ".zshrc"


def test_what_a_fleet_has_is_offered(small: Cli, fleet: Fleet) -> None:
    for name, user in (("laptop", "ann"), ("lab", "bob"), ("desktop", "ann"), ("b\x1b[m", "x")):
        fleet.machine(name, user=user)
    address = fleet.reader()
    cli = Inside(small.home, small.base, {"THREADKEEP_FLEET": address})
    assert offered(cli, "list", "--fleet", "--machine", "la") == {"lab": "bob", "laptop": "ann"}
    assert {*offered(cli, "stats", "--fleet", "--user", "")} == {"ann", "bob"}
    for words in (["--fleet", address], [f"--fleet={address}"]):
        assert offered(small, "search", *words, "--machine", "d") == {"desktop": "ann"}
    assert [*offered(cli, "stats", "--fleet", "--by", "m")] == ["month", "model", "machine"]
    assert [*offered(cli, "list", "--fleet", "--columns", "m")] == ["model", "machine"]
    assert offered(cli, "list", "--fleet=h") == {f"--fleet={address}": "the configured fleet"}
    assert offered(cli, "list", "--fleet", "--ma").keys() == {"--machine"}
    assert [*offered(small, "list", "--fleet=")] == ["--fleet=postgresql://"]


def test_a_fleet_that_does_not_answer_is_not_waited_for(small: Cli) -> None:
    assert offered(small, "list", "--machine", "") == {}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        address = f"postgresql://nobody@127.0.0.1:{port}/none"
        assert offered(small, "list", "--fleet", address, "--machine", "") == {}
