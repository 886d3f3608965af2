"""Who may import whom: package by package, and room by room within each; and how large they are."""

import ast
import builtins
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests import ROOT

ALLOWED: dict[str, set[str]] = {
    "rollout": set(),
    "migrations": set(),
    "state": {"rollout", "migrations"},
    "cli": {"rollout", "state"},
}

ROOMS = """
rollout.errors
rollout.files         -> rollout.errors
rollout.jsonl         -> rollout.files
rollout.schema        -> rollout.jsonl
rollout.usage         -> rollout.schema
rollout.pieces        -> rollout.jsonl
rollout.metadata      -> rollout.usage
rollout.items         -> rollout.schema
rollout.turns         -> rollout.items
rollout.history       -> rollout.turns rollout.usage
rollout.search        -> rollout.history rollout.metadata
rollout.writing       -> rollout.history

state.errors
state.clock
state.aio
state.workers         -> state.aio
state.db              -> state.errors state.clock state.workers
state.userdata        -> state.db
state.codex_db        -> state.userdata
state.jobs            -> state.db
state.prices          -> state.db
state.rows            -> state.jobs state.userdata
state.sync            -> state.rows state.codex_db state.prices
state.query           -> state.sync
state.checks          -> state.rows
state.thread_index    -> state.query state.checks
state.rollout_locator -> state.thread_index
state.codex           -> state.thread_index
state.recording       -> state.thread_index
state.watch           -> state.thread_index
state.reports         -> state.thread_index
state.turns           -> state.rollout_locator
state.explain         -> state.codex state.recording
state.edit            -> state.codex state.recording state.rollout_locator
state.fulltext        -> state.turns
state.thread_store    -> state.edit state.fulltext
state.memory          -> state.thread_store
state.repair          -> state.fulltext
state.fleet.server      -> state.checks
state.fleet.push        -> state.fleet.server state.fulltext state.edit
state.fleet.reading     -> state.fleet.server state.thread_store state.reports
state.fleet.machines    -> state.fleet.reading
state.fleet.store       -> state.fleet.reading

cli.later
cli.installed
cli.errors            -> cli.installed
cli.terminal          -> cli.errors
cli.help              -> cli.terminal
cli.fleet.config      -> cli.errors
cli.arguments         -> cli.help cli.fleet.config
cli.redact            -> cli.errors cli.later
cli.render            -> cli.terminal
cli.remote            -> cli.arguments cli.terminal
cli.runtime           -> cli.arguments cli.render cli.remote
cli.turns             -> cli.render
cli.filter            -> cli.arguments
cli.edit              -> cli.runtime
cli.server.protocol   -> cli.errors
cli.server.core       -> cli.server.protocol cli.runtime
cli.server.methods    -> cli.server.core cli.render cli.remote
cli.server.transport  -> cli.server.methods
cli.browse.words      -> cli.filter
cli.browse.picked
cli.browse.dialogs
cli.browse.threads    -> cli.browse.words cli.render cli.runtime
cli.browse.actions    -> cli.browse.words cli.browse.dialogs cli.browse.picked cli.edit
cli.browse.reader     -> cli.browse.actions cli.turns
cli.browse            -> cli.browse.reader cli.browse.threads
cli.web               -> cli.filter cli.turns cli.edit
cli.mcp               -> cli.turns cli.runtime cli.redact
cli.fleet             -> cli.arguments cli.edit
cli.push              -> cli.fleet cli.runtime cli.redact
cli.commands          -> cli.push cli.browse cli.web cli.mcp cli.redact cli.server.transport
cli.app               -> cli.commands
cli.completion        -> cli.app
cli.main              -> cli.completion cli.later
cli.__main__          -> cli.main
"""
"""A room may import the rooms to the right of its arrow, what these may import, and no other."""


LONGEST = 400
MOST_FILES = 15
LARGE = {
    "state/errors.py",
    "cli/commands",
    "tests/cli/commands",
    "migrations/versions",
}
"""A class an error, a file a command, a test or two of each, a file a migration."""


@cache
def nodes(path: Path) -> list[ast.AST]:
    """All that a module consists of."""
    return [*ast.walk(ast.parse(path.read_text("utf-8")))]


def imported(path: Path) -> set[str]:
    """The top-level names that a module imports, wherever in it."""
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def modules(package: str) -> list[Path]:
    """The modules of a package; there are some."""
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_point_one_way(package: str) -> None:
    for path in modules(package):
        ours = imported(path) & (set(ALLOWED) | {"tests"})
        assert ours - {package} <= ALLOWED[package], path


@cache
def rooms() -> dict[str, set[str]]:
    """Each room with all that it may import."""
    arrows: dict[str, set[str]] = {}
    for row in filter(None, ROOMS.splitlines()):
        room, _, targets = row.partition("->")
        arrows[room.strip()] = set(targets.split())
    found: dict[str, set[str]] = {}
    for room, right in arrows.items():  # a row stands below those of its arrows
        found[room] = right.union(*(found[target] for target in right))
    return found


def room_of(module: str) -> str | None:
    """The room that a module is in; None for a package that holds rooms."""
    return next((room for room in rooms() if f"{module}.".startswith(f"{room}.")), None)


def imported_modules(path: Path) -> Iterator[str]:
    """The modules of ours that a module imports, wherever in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", ["rollout", "state", "cli"])
def test_rooms_import_only_what_their_row_allows(package: str) -> None:
    wrong = set()
    for path in modules(package):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        here = room_of(module)
        assert here or path.name == "__init__.py", f"{path} is in no room"
        for target in imported_modules(path):
            there = room_of(target)
            if not here or not there or there.split(".")[0] != package:
                continue
            if there not in rooms()[here] | {here, f"{package}.errors"}:
                wrong.add((here, there))
    assert wrong == set()


def test_files_and_folders_can_be_looked_through() -> None:
    paths = [path for name in (*ALLOWED, "tests") for path in modules(name)]
    lines = {path: path.read_text("utf-8").count("\n") for path in paths}
    files = Counter(path.parent for path in paths)
    large = {path for path, count in lines.items() if count > LONGEST}
    large |= {folder for folder, count in files.items() if count > MOST_FILES}
    assert {path.relative_to(ROOT).as_posix() for path in large} - LARGE == set()


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_every_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()


def test_rollout_knows_no_database() -> None:
    for path in modules("rollout"):
        assert not imported(path) & {"sqlite3", "sqlalchemy", "aiosqlite", "alembic", "asyncio"}, (
            path
        )


def test_only_cli_prints_exits_and_reads_the_environment() -> None:
    for package in ("rollout", "state", "migrations"):
        for path in modules(package):
            for node in nodes(path):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in ("print", "input", "exit"), path
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    place = f"{node.value.id}.{node.attr}"
                    assert place not in ("os.environ", "os.getenv", "sys.exit", "sys.argv"), path


def test_every_class_that_a_docstring_says_is_raised_exists() -> None:
    every = [node for package in ALLOWED for path in modules(package) for node in nodes(path)]
    known = {node.name for node in every if isinstance(node, ast.ClassDef)} | set(dir(builtins))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [ast.get_docstring(node) or "" for node in every if isinstance(node, functions)]
    named = {
        name
        for text in texts
        for names in (
            *re.findall(r"\bRaises\s+([A-Z]\w*)(?![.\w])", text),
            *re.findall(
                r"^ {4}([A-Z][A-Za-z, ]*):", text.partition("\nRaises:\n")[2], re.MULTILINE
            ),
        )
        for name in re.split(", | or ", names)
    }
    assert named  # a name with a dot belongs to another package
    assert named <= known
