"""Clients that others wrote for Codex's app-server, against ours: ``pip install -e '.[sdk]'``."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import copy_corpus
from tests.protocol.sample import LEGACY, PAGINATED, UNKNOWN
from tests.support.command import COMMAND

# The clients leave it to Python to close their pipes.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*<_io.FileIO:pytest.PytestUnraisableExceptionWarning"),
]
BOTH = pytest.mark.parametrize("thread_id", [LEGACY, PAGINATED], ids=["legacy", "paginated"])
Ids = list[str]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of a server on a copy of the sample home, all of which is indexed."""
    copy_corpus(tmp_path / "home")
    index = str(tmp_path / "index.sqlite3")
    given = {**os.environ, "CODEX_HOME": str(tmp_path / "home"), "THREADKEEP_DB": index}
    subprocess.run([*COMMAND, "list"], env=given, check=True, capture_output=True)
    return given


@pytest.fixture
def program(tmp_path: Path) -> str:
    """What clients take for the ``codex`` that they are given the path of."""
    path = tmp_path / "codex"
    path.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def sdk() -> Any:
    """OpenAI's client."""
    return pytest.importorskip("openai_codex")


@pytest.fixture
def other() -> Any:
    """Somebody else's client."""
    return pytest.importorskip("codex_app_server_client")


@pytest.fixture
def types(other: Any) -> Any:
    """The parameters that the latter takes."""
    return pytest.importorskip("codex_app_server_client.types")


@pytest.fixture
def official(sdk: Any, environment: dict[str, str], program: str) -> Any:
    """A function that starts OpenAI's client."""
    config = sdk.CodexConfig(codex_bin=program, env=environment, cwd=environment["CODEX_HOME"])
    return lambda: sdk.Codex(config)


@pytest.fixture
def independent(other: Any, environment: dict[str, str], program: str) -> Any:
    """A function that starts somebody else's client."""
    return lambda: other.SyncCodexClient(codex_bin=program, env=environment)


def pages(ask: Callable[[str | None], tuple[Ids, str | None]]) -> list[Ids]:
    """All pages of a list."""
    found = []
    cursor: str | None = None
    while True:
        ids, cursor = ask(cursor)
        found.append(ids)
        if cursor is None:
            return found


def test_the_official_client_pages(official: Any) -> None:
    def page(cursor: str | None) -> tuple[Ids, str | None]:
        found = codex.thread_list(limit=40, cursor=cursor)
        return [thread.id for thread in found.data], found.next_cursor

    with official() as codex:
        found = pages(page)
    every = [id_ for ids in found for id_ in ids]
    assert [len(ids) for ids in found[:-1]] == [40] * (len(found) - 1)
    assert len(found) > 2
    assert len(every) == len(set(every))
    assert {LEGACY, PAGINATED} < set(every)


@BOTH
def test_the_official_client_changes_a_thread(thread_id: str, official: Any) -> None:
    with official() as codex:
        thread = codex.thread_resume(thread_id)
        thread.set_name("named by a client")
        assert thread.read().thread.name == "named by a client"
        fork = codex.thread_fork(thread_id)
        assert codex.thread_resume(fork.id).read().thread.forked_from_id == thread_id
        codex.thread_archive(thread_id)
        archived = [one.id for one in codex.thread_list(archived=True, limit=100).data]
        assert thread_id in archived
        assert fork.id not in archived
        assert codex.thread_unarchive(thread_id).id == thread_id
        active = [one.id for one in codex.thread_list(search_term="named by a client").data]
        assert {thread_id, fork.id} <= set(active)


def test_the_official_client_starts_a_thread(official: Any, tmp_path: Path) -> None:
    with official() as codex:
        started = codex.thread_start(cwd=str(tmp_path))
        started.set_name("new")
        assert codex.thread_list(limit=1).data[0].id == started.id


def test_the_official_client_understands_a_refusal(sdk: Any, official: Any) -> None:
    with official() as codex, pytest.raises(sdk.CodexError, match="no rollout found for thread"):
        codex.thread_resume(UNKNOWN)


def test_the_independent_client_pages(types: Any, independent: Any) -> None:
    client = independent()

    def page(cursor: str | None) -> tuple[Ids, str | None]:
        found = client.thread_list(types.ThreadListParams(limit=40, cursor=cursor))
        return [thread.id for thread in found.data], found.next_cursor

    client.start()
    try:
        every = [id_ for ids in pages(page) for id_ in ids]
    finally:
        client.close()
    assert len(every) == len(set(every)) > 80


@BOTH
def test_the_independent_client_changes_a_thread(
    thread_id: str, types: Any, independent: Any
) -> None:
    client = independent()
    client.start()
    try:
        assert client.thread_resume(types.ThreadResumeParams(thread_id=thread_id)).thread.id
        client.thread_set_name(thread_id, "named by a client")
        fork = client.thread_fork(types.ThreadForkParams(thread_id=thread_id)).thread.id
        client.thread_archive(thread_id)
        archived = client.thread_list(types.ThreadListParams(archived=True, limit=100))
        assert thread_id in [one.id for one in archived.data]
        back = client.thread_unarchive(types.ThreadUnarchiveParams(thread_id=thread_id))
        assert back.thread.id == thread_id
        read = client.thread_read(types.ThreadReadParams(thread_id=fork)).thread
        assert (read.id, read.model_dump().get("name")) == (fork, "named by a client")
    finally:
        client.close()
