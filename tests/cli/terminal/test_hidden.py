"""Every command that finds or counts threads reports what its defaults leave out."""

from pathlib import Path

import pytest

from tests.samples.homes import encoded, lines, write
from tests.support.command import Cli, Inside, Within
from tests.support.command import plain_user as plain_user

STAMP = "2026-05-28T20:00:09.000Z"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A thread that is listed, and one for each reason not to be; the archived one is later."""
    home = tmp_path / "home"
    write(home, 1)
    write(home, 2, encoded(lines(2, "quagga", source="exec")))
    later = encoded(lines(3, "quokka")).replace(b"2026-05-28T", b"2026-05-29T")
    write(home, 3, later, archived=True)
    write(home, 4, encoded(lines(4)[:1]))
    side = {"attached_thread": {"thread_id": "x"}, "forked_from_id": None}
    write(home, 5, encoded(lines(5, "side", **side)))
    write(home, 6, b"nothing of use\n")
    return Inside(home, tmp_path)


TOLD = (
    "Not shown: 1 not interactive (--all-sources), 1 archived (--archived), 1 empty,"
    " 1 unreadable (threadkeep status)."
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("search", "prompt"),
        ("search", "quagga"),
        ("search", "--raw", "quagga"),
        ("search", "quagga", "--sort", "matches"),
    ],
    ids=" ".join,
)
def test_what_is_left_out_is_told(cli: Cli, arguments: tuple[str, ...]) -> None:
    listed = cli.run("list", "--json").json["hidden"]
    assert listed["source"] == listed["archived"] == listed["empty"] == listed["unreadable"] == 1
    ran = cli.run(*arguments, status=None)
    assert TOLD in ran.err
    ran = cli.run(*arguments, "--json", status=None)
    assert ran.json["hidden"] == listed
    assert "Not shown" not in ran.err


def test_what_is_asked_for_is_not_hidden(cli: Cli) -> None:
    for command in (("list",), ("search", "quokka")):
        printed = cli.run(*command, "--archived", "--all-sources", "--json").json["hidden"]
        assert (printed["archived"], printed["source"]) == (0, 0)
    printed = cli.run("search", "quagga", "--all-sources", "--cwd", "/nowhere", "--json", status=1)
    assert printed.json["hidden"]["archived"] == 0


def test_stats_hides_nothing_and_counts_what_cannot_be_read(cli: Cli) -> None:
    ran = cli.run("stats")
    assert ran.out.startswith("4 threads, 4 responses")
    assert ran.err == "Not counted: 1 unreadable file (threadkeep status).\n"
    assert cli.run("stats", "--since", "2026-05-29", "--json").json["threads"] == 1


def test_du_counts_all_and_reports_what_it_cannot_see(tmp_path: Path, plain_user: Within) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    write(cli.home, 1)
    write(cli.home, 2, encoded(lines(2, source="exec")))
    write(cli.home, 3, archived=True)
    printed = cli.run("du", "--json").json
    assert (printed["files"], printed["hidden"]) == (3, {"away": 0})
    away = cli.home / "sessions/2026/01"
    away.mkdir()
    away.chmod(0)
    try:
        ran = cli.run("du", prefix=plain_user)
        assert "Not counted: 1 path that cannot be accessed (threadkeep verify)." in ran.err
        assert cli.run("du", "--json", prefix=plain_user).json["hidden"] == {"away": 1}
    finally:
        away.chmod(0o700)


@pytest.mark.parametrize(
    "filters",
    [("--search", "zzz"), ("--cwd", "/nowhere"), ("--provider", "nope"), ("--archived",)],
    ids=" ".join,
)
def test_no_threads_here_is_said_only_where_there_are_none(
    tmp_path: Path, filters: tuple[str, ...]
) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    (cli.home / "sessions").mkdir(parents=True)
    for arguments in (("list", *filters), ("list",), ("stats",)):
        assert f"No threads here yet: {cli.home}\n" in cli.run(*arguments, status=1).err
    write(cli.home, 1)
    for command in ("list", "stats"):
        ran = cli.run(command, *filters, status=1)
        assert "No threads match." in ran.err
        assert "No threads here yet" not in ran.err


def test_du_says_that_a_home_is_empty(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    (cli.home / "sessions").mkdir(parents=True)
    ran = cli.run("du")
    assert (ran.out, ran.err) == ("", f"No threads here yet: {cli.home}\n")


def test_a_folder_that_is_no_home_is_named_with_what_to_do(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    cli.home.mkdir()
    for words, status in ((["list"], 1), (["search", "x"], 1), (["sync"], 0), (["backfill"], 0)):
        told = cli.run(*words, status=status).err
        assert f"No threads here: {cli.home} has no folder sessions." in told
        assert "name that with --home or CODEX_HOME" in told


def test_a_file_that_cannot_be_read_is_not_nothing(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    write(cli.home, 1, b"")
    assert "No threads match." in cli.run("list", status=1).err
