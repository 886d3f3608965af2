"""What ``explain`` says of the real Codex's picker and ``thread/list`` is what these show."""

import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from tests.codex import codex_app
from tests.codex.screen import Screen
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.support.command import Inside

CODEX = os.environ.get("THREADKEEP_CODEX_BIN", "")
pytestmark = pytest.mark.skipif(not CODEX, reason="no THREADKEEP_CODEX_BIN")
_CONFIG: Final = """
model_provider = "mock"
check_for_update_on_startup = false
[model_providers.mock]
name = "mock"
base_url = "http://127.0.0.1:9/v1"
wire_api = "responses"
[projects."{work}"]
trust_level = "trusted"
"""
_SPAWNED: Final = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(1), "depth": 1}}}
_STAMP: Final = "2026-05-28T20:00:00.000Z"


class Case:
    """A home with one thread of each kind, a folder, and both programs."""

    def __init__(self, base: Path) -> None:
        self.home, self.work = base / "home", base / "work"
        for folder in (self.home, self.work, base / "user", base / "index"):
            folder.mkdir()
        (base / "link").symlink_to(self.work)
        (self.home / "config.toml").write_text(_CONFIG.format(work=self.work))
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(base / "user"),
            "CODEX_HOME": str(self.home),
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
        }
        self.ids: list[str] = []
        self.cli = Inside(self.home, base / "index")

    def thread(self, **meta: Any) -> list[dict[str, Any]]:
        """The lines of the thread that comes next, which says its number."""
        number = len(self.ids) + 1
        given = {"cwd": str(self.work), "model_provider": "mock", **meta}
        return lines(number, f"T{number:02} said", **given)

    def add(self, content: bytes | None = None, *, archived: bool = False, **meta: Any) -> Path:
        """Add a thread."""
        content = encoded(self.thread(**meta)) if content is None else content
        self.ids.append(thread_id(len(self.ids) + 1))
        return write(self.home, len(self.ids), content, archived=archived)

    def picker(self, *arguments: str) -> set[str]:
        """The threads that a picker of Codex shows."""
        command = [CODEX, *arguments, "--disable", "daemon_auto_start"]
        with Screen(command, self.work, self.environment) as screen:
            text = screen.wait(lambda text: "Filter:" in text and "oading" not in text)
        return {thread_id(int(number)) for number in re.findall(r"T(\d\d) said", text)}

    def listed(self) -> set[str]:
        """The threads in ``thread/list``."""
        (answer,) = codex_app.answers(CODEX, self.home, [("thread/list", {"limit": 100})])
        return {thread["id"] for thread in answer["result"]["data"]}

    def explained(self, key: str, *arguments: str) -> set[str]:
        """The threads of which ``explain`` says so."""
        return {
            id_ for id_ in self.ids if self.cli.run("explain", id_, "--json", *arguments).json[key]
        }

    def agree(self) -> None:
        """Hold that both say the same of this folder."""
        here = ("--cwd", str(self.work))
        said = self.explained("listedInCodex", *here)
        summary = self.cli.run("explain", "--json", *here).json
        assert len(said) == summary["shown"]
        shown = self.picker("resume")
        assert shown == said
        assert len(self.picker("fork")) == summary["shownByFork"]
        everywhere = summary["shown"] + summary["otherFolders"]["shownByAll"]
        assert len(self.picker("resume", "--all")) == everywhere

    def change(self, statement: str, *values: object) -> None:
        """Change Codex's database."""
        with closing(sqlite3.connect(self.home / "state_5.sqlite")) as connection, connection:
            connection.execute(statement, values)


def _all_kinds(case: Case) -> None:
    case.add()
    case.add(model_provider="other")
    for source in ("exec", "vscode", "mcp", "odd", {"custom": "atlas"}, _SPAWNED):
        case.add(source=source)
    for cwd in (case.work / "sub", case.work.parent / "link", "/gone", f"{case.work}/"):
        case.add(cwd=str(cwd))
    case.add(archived=True)
    case.add(encoded(case.thread()[:1]))
    filler = [event(_STAMP, "token_count", info=None)] * 300
    first, *rest = case.thread()
    case.add(encoded([first, *filler, *rest]))
    case.add(encoded([*filler[:12], *case.thread()]))
    first, *rest = case.thread()
    case.add(encoded([first]) + b'{"x":"\xff"}\n' + encoded(rest))
    case.add(encoded(case.thread()) + b'{"timestamp":"2026')
    case.add(b'{"timestamp":"2026\n' + encoded(case.thread()[1:]))
    case.add(cli_version=None)
    case.add(history_mode="woven")
    case.add(attached_thread=True, forked_from_id=thread_id(1))
    path = case.add()
    path.with_name(f"{path.name}.zst").write_bytes(zstandard.compress(path.read_bytes()))
    path.unlink()
    path = case.add()
    path.rename(case.home / "sessions" / path.name)
    name = {"id": case.ids[13], "thread_name": "named and empty", "updated_at": _STAMP}
    (case.home / "session_index.jsonl").write_text(f"{json.dumps(name)}\n")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path.resolve())


def test_explain_agrees_with_the_picker_of_the_real_codex(case: Case) -> None:
    _all_kinds(case)
    foretold = case.explained("listedInCodex", "--cwd", str(case.work))
    assert case.picker("resume") == foretold
    case.agree()
    assert case.listed() & {*case.ids} == case.explained("listedInThreadList")


WRONG: Final = (
    "archived = 1",
    "source = 'exec'",
    "preview = ''",
    "rollout_path = '/gone.jsonl'",
    "cwd = '/elsewhere'",
    "attached_thread_parent_id = 'x'",
    "model_provider = 'other'",
)


@pytest.mark.parametrize("gone", ["none", "first", "all"])
def test_explain_agrees_with_the_picker_where_rows_are_wrong(gone: str, case: Case) -> None:
    for _ in range(8):
        case.add()
    case.add(encoded(case.thread()[:1]))
    case.add(cwd="/elsewhere")
    assert len(case.picker("resume")) == 8
    if gone == "none":
        for change, id_ in zip(WRONG, case.ids, strict=False):
            case.change(f"UPDATE threads SET {change} WHERE id = ?", id_)
    else:
        case.change("DELETE FROM threads WHERE id <= ?", case.ids[0 if gone == "first" else -1])
    said = case.explained("listedInCodex", "--cwd", str(case.work))
    summary = case.cli.run("explain", "--json", "--cwd", str(case.work)).json
    assert (len(said), summary["readsFiles"]) == (summary["shown"], gone == "all")
    assert len(said) == {"none": 2, "first": 7, "all": 8}[gone]
    assert case.picker("resume") == said
