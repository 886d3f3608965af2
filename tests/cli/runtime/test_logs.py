"""What long-lived commands log, where to, and how much of it."""

import json
import logging
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer

from cli import errors
from cli.runtime import logs
from cli.terminal import output
from state.errors import FileUnusable
from tests.samples import homes
from tests.support.app_client import Server, soon
from tests.support.command import Cli, write_rollout
from tests.support.effort import PATIENCE_S
from tests.support.watching import watching


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path / "home", tmp_path)
    write_rollout(made.home, 1, "one")
    return made


@pytest.fixture
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test has logged elsewhere is logged here again."""
    root, ours = logging.getLogger(), logging.getLogger("threadkeep")
    before = (root.handlers[:], root.level, ours.level, logging.raiseExceptions)
    monkeypatch.setattr("sys.excepthook", lambda *_: None)
    monkeypatch.setattr(output, "_receiver", None)
    for name in ("LOG_FORMAT", "RUST_LOG", "THREADKEEP_LOG"):
        monkeypatch.delenv(name, raising=False)
    yield
    for handler in root.handlers[:]:
        if handler not in before[0]:
            root.removeHandler(handler)
            handler.close()
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    logging.getLogger("threadkeep.turns").setLevel(logging.NOTSET)
    logging.raiseExceptions = before[3]
    logging.captureWarnings(False)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("", {}),
        ("info", {"": logging.INFO}),
        ("WARN", {"": logging.WARNING}),
        ("off,threadkeep::server=debug", {"": logging.CRITICAL + 10, "threadkeep.server": 10}),
        ("threadkeep.turns", {"threadkeep.turns": logging.DEBUG}),
        ("a=error, b[span{x=1}]=info", {"a": logging.ERROR, "b": logging.INFO}),
    ],
)
def test_levels_are_those_of_other_programs(text: str, levels: dict[str, int]) -> None:
    assert logs.levels_of(text) == levels


@pytest.mark.usefixtures("_as_before")
def test_a_level_that_is_none_is_refused_where_it_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(typer.BadParameter, match="threadkeep=loud"):
        logs.begin("threadkeep=loud", None)
    monkeypatch.setenv("RUST_LOG", "codex_core=loud")
    logs.begin(None, None)


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("_as_before")
def test_a_record_is_one_json_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    logs.begin(None, None)
    log = logging.getLogger("threadkeep.server")
    log.debug("not printed")
    log.info("two\nlines \x9b\ud800 of %s", "text", extra={"fields": {"count": 2}})
    output.say("a message")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("failed")
    first, second, third = printed(capsys)
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "level": "INFO",
        "target": "threadkeep.server",
        "fields": {"message": "two\nlines \x9b\ud800 of text", "count": 2},
    }
    assert second["fields"] == {"message": "a message"}
    assert third["level"] == "ERROR"
    assert "ValueError: why" in third["fields"]["exception"]


@pytest.mark.usefixtures("_as_before")
def test_what_is_asked_for_goes_before_what_others_ask_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    monkeypatch.setenv("RUST_LOG", "error,threadkeep.turns=debug")
    logs.begin(None, None)
    logging.getLogger("threadkeep.server").warning("not printed")
    logging.getLogger("threadkeep.turns").debug("printed")
    assert [each["fields"]["message"] for each in printed(capsys)] == ["printed"]
    logs.begin("warn", None)
    logging.getLogger("threadkeep.server").warning("printed")
    assert [each["level"] for each in printed(capsys)] == ["WARN"]


@pytest.mark.usefixtures("_as_before")
def test_a_file_is_bounded_and_its_owners(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 2_000)
    path = tmp_path / "log"
    logs.begin(None, path)
    for number in range(400):
        logging.getLogger("threadkeep").info("number %d", number)
    files = sorted(tmp_path.glob("log*"))
    assert [file.name for file in files] == ["log", "log.1", "log.2", "log.3", "log.4"]
    assert all(file.stat().st_size <= 2_000 for file in files)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert path.read_text().splitlines()[-1].endswith("Z INFO threadkeep: number 399")
    assert "number 399" in capsys.readouterr().err
    with pytest.raises(FileUnusable):
        logs.begin(None, tmp_path / "no" / "log")


@pytest.mark.usefixtures("_as_before")
def test_of_records_that_nobody_reads_the_newest_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "MOST_WAITING", 3)
    monkeypatch.setenv("LOG_FORMAT", "json")
    reader, writer = os.pipe()
    usual = os.dup(2)
    os.dup2(writer, 2)
    try:
        logs.begin(None, None, waits=False)
        log = logging.getLogger("threadkeep")
        log.info("x" * 2**20)  # longer than a pipe is
        for number in range(5):
            log.info("number %d", number)
        [waiting] = logging.getLogger().handlers
        threading.Thread(target=waiting.flush).start()
        with open(reader, "rb") as lines:
            read = [json.loads(next(lines))["fields"]["message"] for _ in range(4)]
    finally:
        os.dup2(usual, 2)
        os.close(usual)
        os.close(writer)
    assert read[1:3] == ["number 0", "number 1"]
    assert read[3] == "3 records were dropped here: nobody read the log"


def test_a_server_whose_log_nobody_reads_goes_on(cli: Cli) -> None:
    for number in range(300):  # whose history cannot be read, which the log tells of each
        unknown = homes.lines(number, history_mode="of a later version")
        homes.write(cli.home, number, homes.encoded(unknown))
    with Server(cli, env={"THREADKEEP_LOG": "info", "LOG_FORMAT": "json"}) as server:
        server.client.begin()
        soon(lambda: cli.run("list", "--json", "-n", "1").json["data"])
        soon(lambda: cli.run("status", "--json").json["search"]["toIndex"] == 0)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        assert server.process.stderr
        # Nearly what a pipe takes: so there was more.
        assert len(server.process.stderr.read()) > 55_000


@pytest.mark.parametrize("number", [signal.SIGTERM, None])
def test_the_end_of_a_server_is_one_record(number: signal.Signals | None, cli: Cli) -> None:
    file = cli.base / "log"
    options = ("--listen", "stdio://", "--log-file", str(file))
    with Server(cli, *options, env={"LOG_FORMAT": "json"}) as server:
        client = server.client.begin()
        soon(lambda: client.call("thread/list")["complete"])
        if number is not None:
            server.process.send_signal(number)
        out, log = server.end()
    records = [json.loads(line) for line in log.splitlines()]
    ends = [each for each in records if "forced" in each["fields"]]
    assert out == b""
    assert ends == records[-1:]
    assert ends[0]["target"] == "threadkeep.server"
    assert ends[0]["fields"] | {"message": ""} == {
        "message": "",
        "reason": "SIGTERM" if number else "end of input",
        "connections": 1 if number else 0,
        "forced": False,
    }
    assert file.read_text() == log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_a_watch_says_is_records_where_json_is_wanted(
    number: signal.Signals, cli: Cli
) -> None:
    with watching(cli, env={"LOG_FORMAT": "json"}) as watch:
        watch.until_said("Watching 1 thread")
        assert watch.end(number) == errors.INTERRUPTED
    records = [json.loads(line) for line in watch.said]
    assert records[-1]["target"] == "threadkeep.watch"
    assert records[-1]["fields"]["reason"] == number.name


def test_an_error_that_ends_watch_is_told_once(cli: Cli) -> None:
    cli.run("sync")
    with closing(sqlite3.connect(cli.index)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9999'")
        connection.commit()
    told = cli.run("watch", status=4).err.splitlines()
    assert [line.partition(":")[0].strip() for line in told] == [
        "threadkeep",
        "update threadkeep, or name another index with --db",
    ]
