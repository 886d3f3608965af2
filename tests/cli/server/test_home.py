"""A server of a home that other processes use too: one-shot commands, changes, lost indexes."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest

from cli.remote.client import identity, socket_path
from tests.support.app_client import Client, Server, soon
from tests.support.checks import codes, synced, verified
from tests.support.command import Cli, Inside, Ran, thread_id, write_rollout
from tests.support.effort import PATIENCE_S
from tests.support.terminal import on_terminal

COUNT = 6
MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "more"}]}
READS = [
    ("list",),
    ("list", "--json", "--limit", "2"),
    ("list", "--search", "3", "--sort", "created_at", "--asc"),
    ("list", "--cwd", "/", "--project", "w", "--since", "2025-10-01", "--min-size", "1"),
    ("list", "--exact-cwd", "/none", "--model", "gpt*"),
    ("show", thread_id(2)),
    ("show", thread_id(2), "--json"),
    ("show", thread_id(2), "--meta"),
    ("show", thread_id(2), "--meta", "--json"),
    ("query", "SELECT count(*) AS n FROM v_threads"),
    ("list", "--search", "nothing is called so"),
    ("search", "thread", "--sort", "created_at"),
    ("search", "thread", "--json"),
    ("search", "nobodysaidthat"),
]
NOT_SERVED = [
    ("list", "--cwd", "."),
    ("list", "--exact-cwd", "w"),
    ("show", "sessions/x.jsonl"),
    ("list", "--all"),
    ("list", "--bogus"),
    ("query", "-"),
    ("show", "no such thread"),
]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with TemporaryDirectory(prefix="tk-") as short:  # a socket's path has 107 bytes at most
        yield filled(Cli(tmp_path / "home", tmp_path, {"THREADKEEP_DB": f"{short}/i.sqlite3"}))


def filled(made: Cli) -> Cli:
    """It, with a few threads in its home and index."""
    for number in range(COUNT):
        write_rollout(made.home, number, f"thread {number}")
    synced(made.home, made.index)
    return made


@pytest.fixture
def server(cli: Cli) -> Iterator[Server]:
    with Server(cli, "--listen", "unix://") as started:
        in_step(started.connect(Path(socket_path(cli.index))).begin())
        yield started


def in_step(client: Client) -> Client:
    """This client, when the server's index is in step."""
    soon(lambda: client.call("thread/list", limit=1)["complete"])
    return client


def connect(cli: Cli, server: Server) -> Client:
    return server.connect(Path(socket_path(cli.index))).begin()


def stop(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE_S) == 0


def inside(cli: Cli) -> Cli:
    """The same command, which does its work in this process."""
    return Inside(cli.home, cli.base, cli.extra)


def served(client: Client, *words: str, **more: Any) -> dict[str, Any]:
    """What the server gives for a command."""
    params = {"terminal": False, "columns": 80, "lines": 24, "environment": {}, **more}
    result: dict[str, Any] = client.call(
        "threadkeep/command", program=identity(), args=list(words), **params
    )
    return result


def test_commands_give_the_same_with_a_server_and_without(cli: Cli, server: Server) -> None:
    client = connect(cli, server)
    here = inside(cli)
    with_server = [(cli.run(*words, status=None), served(client, *words)) for words in READS]
    by_itself = [here.run(*words, stdin="SELECT 1 AS one", status=None) for words in NOT_SERVED]
    stop(server)
    for words, (before, given) in zip(READS, with_server, strict=True):
        alone = here.run(*words, status=None)
        assert before == alone, words
        said = "".join(f"{line}\n" for line in given["messages"])
        assert Ran(given["status"], given["out"], said) == alone, words
    for words, before in zip(NOT_SERVED, by_itself, strict=True):
        assert before == here.run(*words, stdin="SELECT 1 AS one", status=None), words


def test_a_terminal_shows_the_same_with_a_server_and_without(cli: Cli, server: Server) -> None:
    client = connect(cli, server)
    size = {"terminal": True, "columns": 60, "lines": 7, "environment": {"TERM": "xterm"}}
    given = served(client, "list", **size)
    env = {"TERM": "xterm"}
    before = on_terminal(cli, "list", env=env, columns=60, lines=7, words=True)
    stop(server)
    alone = on_terminal(inside(cli), "list", env=env, columns=60, lines=7, words=True)
    assert before == alone
    shown = given["out"] + "".join(f"{line}\n" for line in given["messages"])
    assert shown.replace("\n", "\r\n") == alone
    assert given["messages"] == [f"Showing 4 of {COUNT}. Use --limit N or --all to see more."]
    assert alone.count("\n") == 6  # and a line for the next prompt


def test_a_command_does_not_load_the_program_when_a_server_answers(
    cli: Cli, server: Server
) -> None:
    program = (
        "import sys; sys.argv = ['threadkeep', *sys.argv[1:]]; from cli.main import main\n"
        "try: main()\n"
        "finally: print(*sorted(sys.modules), file=sys.stderr)"
    )
    listed = cli.run("list", prefix=(sys.executable, "-P", "-c", program))
    loaded = set(listed.err.splitlines()[-1].split())
    assert not loaded & {"typer", "sqlalchemy", "pydantic", "sqlite3", "asyncio", "rich", "cli.app"}
    assert len(listed.lines) == COUNT


def test_a_command_sees_what_was_written_a_second_ago(cli: Cli, server: Server) -> None:
    write_rollout(cli.home, 99, "fresh")
    soon(lambda: "fresh" in cli.run("list").out)
    archived = cli.run("archive", thread_id(99), "--yes")
    assert archived.status == 0
    assert "fresh" not in cli.run("list").out


def test_a_server_that_does_not_answer_or_is_none_costs_nothing_but_time(cli: Cli) -> None:
    path = socket_path(cli.index)
    here = inside(cli)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        assert len(here.run("list").lines) == COUNT  # nobody listens
        silent.listen()
        assert len(cli.run("list").lines) == COUNT  # nobody answers
    os.unlink(path)
    Path(path).write_text("no socket")
    assert len(here.run("list").lines) == COUNT


def test_a_server_of_another_program_is_not_asked(cli: Cli, server: Server) -> None:
    client = connect(cli, server)
    older = [0, 0, 0]
    error = client.fail(
        "threadkeep/command",
        program=older,
        args=["list"],
        terminal=False,
        columns=80,
        lines=24,
        environment={},
    )
    assert error["data"]["kind"] == "not_served"
    for args, zone in (
        ([], {}),
        (["delete", thread_id(1), "--yes"], {}),
        (["list", "--all"] * 2, {}),
        (["list"], {"TZ": "Asia/Tokyo"}),  # times are shown as the client has them
    ):
        error = client.fail(
            "threadkeep/command",
            program=identity(),
            args=args,
            terminal=False,
            columns=80,
            lines=24,
            environment=zone,
        )
        assert error["data"]["kind"] == "not_served"


def test_two_servers_do_not_share_a_place_and_a_killed_one_leaves_it(
    cli: Cli, server: Server
) -> None:
    with Server(cli, "--listen", "unix://") as second:
        _, log = second.end()
    assert second.process.returncode == 2
    assert "a server already listens on" in log
    server.process.kill()
    server.process.wait()
    with Server(cli, "--listen", "unix://") as third:
        in_step(connect(cli, third))
        third.process.send_signal(signal.SIGTERM)
        third.process.wait(PATIENCE_S)
    assert not Path(socket_path(cli.index)).exists()


def test_changes_are_given_since_they_were_asked_for_last(cli: Cli, server: Server) -> None:
    client = in_step(connect(cli, server))
    assert client.call("threadkeep/changes") == {"data": [], "complete": True}
    write_rollout(cli.home, 50, "new")
    (change,) = client.call("threadkeep/changes", waitMs=20_000)["data"]
    assert (change["kind"], change["id"]) == ("appeared", thread_id(50))
    client.call("thread/name/set", threadId=thread_id(50), name="called")
    client.call("thread/name/set", threadId=thread_id(50), name="called otherwise")
    (change,) = client.call("threadkeep/changes", waitMs=20_000)["data"]
    assert change["kind"] == "changed"
    if change["name"] == "called":  # it was asked between the two
        (change,) = client.call("threadkeep/changes", waitMs=20_000)["data"]
    assert change["name"] == "called otherwise"
    began = time.monotonic()
    assert client.call("threadkeep/changes", waitMs=300)["data"] == []
    assert time.monotonic() - began > 0.25
    client.fail("threadkeep/changes", waitMs=-1)


def test_changes_are_told_to_who_has_subscribed(cli: Cli, server: Server) -> None:
    listener, other = in_step(connect(cli, server)), connect(cli, server)
    assert listener.call("threadkeep/changes", subscribe=True) == {"subscribed": True}
    other.call("thread/archive", threadId=thread_id(1))
    change = listener.until("threadkeep/changed")
    assert (change["kind"], change["id"], change["archived"]) == ("archived", thread_id(1), True)
    assert "has subscribed" in listener.fail("threadkeep/changes")["message"]
    assert listener.call("threadkeep/changes", subscribe=False) == {"subscribed": False}
    other.call("thread/unarchive", threadId=thread_id(1))
    (change,) = listener.call("threadkeep/changes", waitMs=20_000)["data"]
    assert change["kind"] == "unarchived"


def test_a_home_that_is_away_is_told_and_nothing_of_it_is_shown_as_gone(
    cli: Cli, server: Server
) -> None:
    client = in_step(connect(cli, server))
    away = cli.home.rename(cli.home.with_name("away"))
    for method, params in (("thread/list", {}), ("thread/read", {"threadId": thread_id(1)})):
        assert client.fail(method, **params)["data"]["kind"] == "home_not_found"
    listed = cli.run("list", status=3)
    assert listed.out == ""
    assert "no Codex home" in listed.err
    away.rename(cli.home)
    soon(lambda: len(list_ids(client)) == COUNT)


def test_a_socket_that_is_removed_is_made_again(cli: Cli, server: Server) -> None:
    path = Path(socket_path(cli.index))
    there = in_step(connect(cli, server))
    path.unlink()
    soon(path.exists)
    assert len(list_ids(connect(cli, server))) == COUNT
    assert len(list_ids(there)) == COUNT


@pytest.mark.parametrize(
    "answer",
    [
        b'{"id":2,"result":{}}\n',
        b'{"id":2,"result":{"out":5,"messages":null,"status":"x"}}\n',
        b"[]\n",
        b"\xff\n",
        b"x" * 2**26,
        b"",
    ],
    ids=["nothing", "wrong", "no object", "no text", "no end", "no answer"],
)
def test_whatever_else_answers_there_the_command_does_its_work(answer: bytes, cli: Cli) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(socket_path(cli.index))
        other.listen()

        def respond() -> None:
            client, _ = other.accept()
            with client, suppress(OSError):  # it hangs up in the middle
                client.sendall(answer)

        answering = Thread(target=respond)
        answering.start()
        assert len(inside(cli).run("list").lines) == COUNT
        answering.join()


def test_a_place_that_cannot_be_listened_at_is_named(cli: Cli) -> None:
    file = cli.base / "file"
    file.touch()
    for place, why in (
        (f"unix://{file}", "not a socket"),
        (f"unix://{cli.base}/missing/socket", "no folder"),
        (f"unix://{cli.base}/{'x' * 120}", "bytes at most"),
        ("ws://127.0.0.1:99999", "is not an address"),
        ("tcp://127.0.0.1:1", "is not an address"),
    ):
        assert why in inside(cli).run("app-server", "--listen", place, status=2).err
    assert not (cli.base / "missing").exists()


def removed(index: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{index}{suffix}").unlink(missing_ok=True)


def replaced_by_garbage(index: Path) -> None:
    """Overwritten where it stands, with all that SQLite holds of it gone."""
    for suffix in ("-wal", "-shm"):
        Path(f"{index}{suffix}").unlink(missing_ok=True)
    other = index.with_name("other")
    other.write_bytes(b"garbage " * 5_000)
    other.replace(index)


def emptied(index: Path) -> None:
    """Truncated, with what SQLite holds of it beside it."""
    os.truncate(index, 0)


def made_anew(index: Path) -> bool:
    return index.exists() and index.read_bytes()[:6] == b"SQLite"


@pytest.mark.parametrize("lose", [removed, replaced_by_garbage, emptied])
def test_an_index_that_is_lost_is_made_anew_and_what_is_live_stays_so(
    lose: Callable[[Path], None], cli: Cli, server: Server
) -> None:
    client = in_step(connect(cli, server))
    client.call("threadkeep/changes")
    live = client.call("thread/start", cwd="/w")["thread"]["id"]
    client.call("thread/inject_items", threadId=live, items=[MESSAGE])
    client.call("thread/resume", threadId=thread_id(1))
    lose(cli.index)
    write_rollout(cli.home, 60, "written later")
    soon(lambda: made_anew(cli.index) and thread_id(60) in list_ids(client))
    in_step(client)
    assert {thread_id(number) for number in range(COUNT)} <= set(list_ids(client))
    client.call("thread/inject_items", threadId=live, items=[MESSAGE])
    client.call("thread/inject_items", threadId=thread_id(1), items=[MESSAGE])
    assert client.call("thread/loaded/list")["data"] == sorted([live, thread_id(1)])
    kinds = {
        change["id"]: change["kind"]
        for change in client.call("threadkeep/changes", waitMs=20_000)["data"]
    }
    assert kinds.get(thread_id(60)) == "appeared"
    assert thread_id(2) not in kinds, "nothing became of it"
    stop(server)
    assert codes(verified(cli.home, cli.index)) == {}


def list_ids(client: Client) -> list[str]:
    message = client.answer(client.ask("thread/list", limit=100))
    if "error" in message:  # in the moment of its loss
        assert message["error"]["data"]["kind"].startswith("index_"), message
        return []
    return [thread["id"] for thread in message["result"]["data"]]
