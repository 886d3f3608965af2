"""Forks of forks of forks, and agents that spawned agents: longer than Python's stack, and than the
files that a process may have open."""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.history.model_context import context_items
from rollout.history.thread import open_history
from rollout.schema.modes import PAGINATED
from rollout.search.extract import read_thread_messages
from rollout.writing.fork import ForkPoint, plan_fork
from rollout.writing.new_thread import NewThread
from tests.samples.homes import encoded, event, file_name, lines, thread_id, write
from tests.support.command import Cli, Inside
from tests.support.effort import is_full

LENGTH = 1100 if is_full() else 450


@pytest.fixture(autouse=True, scope="module")
def _little() -> Iterator[None]:
    """As much less of a stack, and as many fewer files, as the chains are shorter."""
    deep = sys.getrecursionlimit()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    sys.setrecursionlimit(deep * LENGTH // 1100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files[0], 1024 * LENGTH // 1100), files[1]))
    yield
    sys.setrecursionlimit(deep)
    resource.setrlimit(resource.RLIMIT_NOFILE, files)


def fork_chain(home: Path, length: int) -> list[Path]:
    """Paginated threads, each with a turn of its own behind all of the one before."""
    ordinal = size = 0
    paths = []
    for number in range(1, length + 1):
        meta = lines(number, history_mode=PAGINATED)[0]
        if number > 1:
            base = {
                "thread_id": thread_id(number - 1),
                "end_ordinal_exclusive": ordinal,
                "end_byte_offset": size,
            }
            meta["payload"] |= {"forked_from_id": thread_id(number - 1), "history_base": base}
        stamp, turn = meta["timestamp"], f"turn-{number}"
        said = [{"type": "text", "text": f"prompt {number}", "text_elements": []}]
        item = {"type": "UserMessage", "id": f"user-{number}", "content": said}
        content = [
            meta,
            event(stamp, "task_started", turn_id=turn),
            event(stamp, "item_completed", thread_id=thread_id(number), turn_id=turn, item=item),
            event(stamp, "task_complete", turn_id=turn),
        ]
        numbered = [{"ordinal": ordinal + at, **line} for at, line in enumerate(content)]
        ordinal += len(numbered)
        paths.append(write(home, number, encoded(numbered)))
        size = paths[-1].stat().st_size
    return paths


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return fork_chain(tmp_path_factory.mktemp("chain"), LENGTH)


def test_a_long_chain_is_one_history(chain: list[Path]) -> None:
    by_id = {thread_id(number): path for number, path in enumerate(chain, 1)}
    history = open_history(chain[-1], by_id.get)
    assert history.missing is None
    with history.reader() as reader:
        found = [reader.turn(turn)["items"][0]["content"][0]["text"] for turn in history.turns]
    assert found == [f"prompt {number}" for number in range(1, LENGTH + 1)]
    assert list(context_items(chain[-1], by_id.get)) == []
    new = NewThread(cwd="/w", originator="t", cli_version="1", history_mode=PAGINATED)
    fork = plan_fork(chain[-1], new, ForkPoint(), by_id.get)
    assert fork.thread.history_base is not None


def test_a_circle_of_forks_comes_to_an_end(chain: list[Path]) -> None:
    by_id = {thread_id(number): path for number, path in enumerate(chain, 1)}
    last = chain[-1]
    history = open_history(last, {**by_id, thread_id(LENGTH - 5): last}.get)
    assert "leads back to itself" in str(history.missing)


def test_what_a_fork_said_is_read_from_its_own_file_alone(chain: list[Path]) -> None:
    """Else each thread of a chain costs all those before it."""
    asked: list[str] = []

    def find(rollout_id: str) -> Path | None:
        asked.append(rollout_id)
        return None

    home = chain[0].parents[4]
    for path in (chain[1], chain[-1]):
        spoken = read_thread_messages(home, path.relative_to(home).as_posix(), find)
        assert [message.text for message in spoken.messages] == [f"prompt {chain.index(path) + 1}"]
    assert asked == []


def test_a_reverted_fork_has_the_messages_of_its_own_files(tmp_path: Path) -> None:
    first, fork = fork_chain(tmp_path, 2)
    segment = fork.with_name(file_name(2, 1))
    base = {"thread_id": thread_id(2), "end_ordinal_exclusive": 7, "end_byte_offset": 0}
    meta = lines(2, history_mode=PAGINATED, forked_from_id=thread_id(1), history_base=base)[0]
    said = {"type": "UserMessage", "id": "u", "content": [{"type": "text", "text": "anew"}]}
    facts = {"thread_id": thread_id(2), "turn_id": "turn-2", "item": said}
    own = [meta, event(meta["timestamp"], "item_completed", **facts)]
    segment.write_bytes(encoded([{"ordinal": 7 + at, **line} for at, line in enumerate(own)]))
    by_id = {thread_id(1): first, thread_id(2): fork}
    spoken = read_thread_messages(tmp_path, segment.relative_to(tmp_path).as_posix(), by_id.get)
    assert [message.text for message in spoken.messages] == ["prompt 2", "anew"]
    assert [Path(path).name for path in spoken.files] == [fork.name, segment.name]


def test_commands_follow_a_long_chain(tmp_path: Path) -> None:
    cli: Cli = Inside(tmp_path / "home", tmp_path)
    fork_chain(cli.home, LENGTH)
    last = thread_id(LENGTH)
    assert len(cli.run("show", last, "--json").json["thread"]["turns"]) == LENGTH
    assert cli.run("search", "--literal", f"prompt {LENGTH}").lines[0].startswith(last)
    assert cli.run("explain", last, "--cwd", "/w").out
    assert cli.run("export", last, "--format", "md").out.count("prompt ") >= LENGTH
    (fork,) = cli.run("fork", last).lines
    assert len(cli.run("show", fork, "--json").json["thread"]["turns"]) == LENGTH
    ids = "".join(f"{thread_id(number)}\n" for number in range(1, LENGTH + 1))
    refused = cli.run("delete", "-", "--dry-run", stdin=ids, status=2).err
    assert refused.count("continues its history") == LENGTH
    every = f"{ids}{fork}\n"
    assert len(cli.run("delete", "-", "--dry-run", stdin=every).lines) == LENGTH + 1


def test_agents_that_spawned_agents_go_together(tmp_path: Path) -> None:
    cli: Cli = Inside(tmp_path / "home", tmp_path)
    for number in range(1, LENGTH + 1):
        parent = {"parent_thread_id": thread_id(number - 1), "depth": number}
        source = {"subagent": {"thread_spawn": parent}} if number > 1 else "cli"
        write(cli.home, number, encoded(lines(number, source=source)))
    first = thread_id(1)
    assert len(cli.ids("--ancestor", first, "--all")) == LENGTH - 1
    assert len(cli.run("archive", first, "--dry-run", "--yes").lines) == LENGTH
