"""``threadkeep secrets``."""

import os
import signal
import subprocess
from typing import Any

from cli.redact import scan
from tests.samples.rollouts import THREAD_ID, envelope
from tests.support.command import Cli, thread_id, write_rollout
from tests.support.effort import PATIENCE_S
from tests.support.reading import call, cli, event, item, save, turn

__all__ = ["cli"]

TOKEN = "ghp_" + "aB3dE6gH9" * 4
PASSWORD = "hunter2hunter2"


def user(text: str) -> dict[str, Any]:
    return item("message", role="user", content=[{"type": "input_text", "text": text}])


def lines() -> list[dict[str, Any]]:
    """Two turns, the first with a token that stands there twice, the second with that token, a
    password in a command, and what is no secret."""
    return [
        user(f"use {TOKEN}"),
        event("user_message", message=f"use {TOKEN}", images=[]),
        event("agent_message", message="mail mia@example.org in /home/miameier"),
        user("again"),
        event("user_message", message="again", images=[]),
        *call("shell", {"command": ["mysql", f"-p{PASSWORD}"]}, f"password='{PASSWORD}', {TOKEN}"),
    ]


def fields(ran_lines: list[str]) -> list[tuple[str, ...]]:
    return [tuple(line.split("\t")[1:6]) for line in ran_lines]


def test_secrets_are_listed_by_turn_and_never_shown(cli: Cli) -> None:
    path = save(cli.home, lines())
    ran = cli.run("secrets", status=1)
    call_, answer = "response_item/function_call", "response_item/function_call_output"
    assert fields(ran.lines) == [
        ("1", "GitHub Token", "40", "2", "response_item/message"),
        ("2", "password", "14", "1", call_),
        ("2", "GitHub Token", "40", "1", answer),
        ("2", "secret", "14", "1", answer),
    ]
    assert all(line.split("\t")[0] == THREAD_ID for line in ran.lines)
    content = path.read_bytes()
    for line in ran.lines:
        name, offset = line.split("\t")[6:8]
        assert cli.home / name == path
        assert content[int(offset) :].startswith(b'{"timestamp"')
    assert "4 secrets in 1 thread of 1 file: 2 GitHub Token, 1 password, 1 secret." in ran.err
    found = cli.run("secrets", "--json", status=1)
    told = found.json
    assert [entry["turn"] for entry in told["secrets"]] == [1, 2, 2, 2]
    assert told["complete"]
    assert told["kinds"] == {"GitHub Token": 2, "password": 1, "secret": 1}
    for shown in (ran.out, ran.err, found.out):
        for secret in (TOKEN[:12], PASSWORD, "mia"):
            assert secret not in shown
    title = "use [redacted GitHub Token]"
    assert {line.split("\t")[8] for line in ran.lines} == {title}
    assert {entry["title"] for entry in told["secrets"]} == {title}


def test_threads_are_chosen_and_what_is_missing_is_told(cli: Cli) -> None:
    for number, (text, cwd) in enumerate([(TOKEN, "/a"), ("x", "/b"), (TOKEN, "/b/c")], 1):
        write_rollout(cli.home, number, f"see {text}", cwd=cwd)
    archived = cli.home / "archived_sessions"
    archived.mkdir()
    write_rollout(cli.home, 4, f"see {TOKEN}", cwd="/b")
    cli.run("archive", thread_id(4))

    def ids(*words: str, status: int = 1) -> list[str]:
        return [line.split("\t")[0] for line in cli.run("secrets", *words, status=status).lines]

    assert {*ids()} == {thread_id(number) for number in (1, 3, 4)}
    assert {*ids("--cwd", "/b")} == {thread_id(3)}
    assert {*ids("--archived")} == {thread_id(4)}
    assert {*ids(thread_id(1), thread_id(2))} == {thread_id(1)}
    assert ids(thread_id(2), status=0) == []
    assert "1 archived" in cli.run("secrets", "--cwd", "/b", status=1).err
    cli.run("secrets", "nobody", status=3)
    assert "nobody" in cli.run("secrets", thread_id(1), "nobody", status=6).err
    cli.run("secrets", "--all-sources", status=2)
    assert cli.run("secrets", "-", stdin="").out == ""


def test_what_cannot_be_read_is_told(cli: Cli) -> None:
    path = save(cli.home, [*lines(), event("agent_message", message="x")])
    path.write_bytes(path.read_bytes() + b'{"torn": "' + TOKEN.lower().encode())
    assert cli.run("secrets", status=1).lines[-1].split("\t")[5] == ""
    cli.run("sync")
    unread = scan.scan_rollouts(str(cli.home), [scan.Rollout("sessions/x.jsonl", "")])
    assert "No such file" in unread[0].problem
    if os.getuid():
        path.chmod(0)
        assert "cannot be" in cli.run("secrets", status=6).err


def test_turns_are_numbered_as_show_numbers_them(cli: Cli) -> None:
    secret = event("agent_message", message=f"see {TOKEN}")
    save(cli.home, [*turn(1), *turn(2, secret), *turn(3, secret), *turn(4)])
    assert [line.split("\t")[1] for line in cli.run("secrets", status=1).lines] == ["2", "3"]
    assert TOKEN in cli.run("show", THREAD_ID, "--turn", "3").out
    rolled_back = envelope("event_msg", {"type": "thread_rolled_back", "num_turns": 1})
    save(cli.home, [*turn(1), rolled_back, *turn(2, secret)])
    assert [line.split("\t")[1] for line in cli.run("secrets", status=1).lines] == ["1"]
    save(cli.home, [envelope("session_meta", {"x": TOKEN})])
    assert [line.split("\t")[1] for line in cli.run("secrets", status=1).lines] == [""]


def test_digests_of_secrets_cannot_be_tried_out() -> None:
    one, other = scan.Finder(), scan.Finder()
    for finder in (one, other):
        finder.text(f"use {TOKEN}")
    assert one.found[0][2] != other.found[0][2]


def test_an_interrupted_search_tells_what_it_found(cli: Cli) -> None:
    for number in range(60):
        write_rollout(cli.home, number, f"see {TOKEN}")
    cli.run("sync")
    process = cli.start("secrets", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=PATIENCE_S)
    assert first.split(b"\t")[2] == b"GitHub Token"
    if process.returncode == 130:
        assert b"of 60 files searched" in err
    else:
        assert (process.returncode, rest.count(b"\n")) == (1, 59)
