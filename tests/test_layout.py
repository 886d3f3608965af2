"""Who may import whom: cli -> state -> {rollout, migrations}; the last two know nobody."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED: dict[str, set[str]] = {
    "rollout": set(),
    "migrations": set(),
    "state": {"rollout", "migrations"},
    "cli": {"rollout", "state"},
}


def imported(path: Path) -> set[str]:
    """The top-level names that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
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
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id not in ("print", "input", "exit"), path
                if isinstance(node, ast.Attribute):
                    place = f"{ast.unparse(node.value)}.{node.attr}"
                    assert place not in ("os.environ", "os.getenv", "sys.exit", "sys.argv"), path


def test_the_quick_path_loads_no_library_that_is_slow_to_load() -> None:
    heavy = {"sqlalchemy", "aiosqlite", "alembic", "pydantic", "zstandard", "rich", "asyncio"}
    program = (
        "import sys, cli.app, cli.commands.list, state.query.oneshot; print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    assert not heavy & set(done.stdout.split())
