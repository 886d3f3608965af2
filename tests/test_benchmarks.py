"""The programs that measure for docs/benchmarks.md run, on a tiny home."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT
from tests.bench.homes import make_home
from tests.support.effort import sample


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few small threads, two of them from the command line."""
    return make_home(tmp_path_factory.mktemp("bench") / "home", 12, median_kb=4)


def told(program: str, *arguments: str | Path) -> str:
    """What a program prints where there is only threadkeep."""
    bare = {"PATH": str(Path(sys.executable).parent)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("THREADKEEP_")}
    command = [sys.executable, "-m", f"tests.bench.{program}", *map(str, arguments)]
    env = {**kept, **bare}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def compare_peers(home: Path) -> None:
    out = told("compare_peers", home, "--rounds", "1")
    assert out.count("| time passed | threadkeep |") == 1
    assert "failed" not in out
    assert out.count("\n| ") == 18  # two tables of seven works


def measure_goals(home: Path) -> None:
    parts = [f"--part={name}" for name in ("fill", "commands", "open", "long")]
    out = told("goals", home, *parts, "--rounds", "1", "--long-mb", "1")
    assert out.count("\n| ") == 19  # of seventeen works
    assert "12 rollouts" in out


@pytest.mark.parametrize("measures", sample([compare_peers, measure_goals]))
def test_what_measures_runs(home: Path, measures: Callable[[Path], None]) -> None:
    measures(home)
