"""Tests that run in several workers are told as if one process ran them."""

import os
import subprocess
import sys
from pathlib import Path

from tests import ROOT

_CONFTEST = """
from tests.parallel import Workers

def pytest_configure(config):
    config.pluginmanager.register(Workers(2, lambda item: item.path))
"""
_FILE = """
import os, pytest

@pytest.fixture
def ends_badly():
    yield
    raise ValueError("of a fixture")

def test_passes(tmp_path): print("not shown")
def test_has_its_process_die(): os._exit(7)
def test_fails(): print("shown to explain"); assert os.getpid() == MAIN
def test_is_skipped(): pytest.skip("for once")
def test_has_a_fixture(ends_badly): pass
"""


def test_what_workers_run_is_told_as_of_one_process(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    for name in ("one", "two", "three"):
        (tmp_path / f"test_{name}.py").write_text(f"MAIN = 0\n{_FILE}")
    options = ["-q", "-rA", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'temporary'}"]
    command = [sys.executable, "-m", "pytest", *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1, ran.stderr
    assert "6 failed, 6 passed, 3 skipped, 3 errors" in ran.stdout
    for name in ("one", "two", "three"):
        assert f"FAILED test_{name}.py::test_has_its_process_die - The worker " in ran.stdout
        assert f"FAILED test_{name}.py::test_fails - " in ran.stdout
        assert f"ERROR test_{name}.py::test_has_a_fixture - ValueError" in ran.stdout
    assert ran.stdout.count("ended with status 7.") >= 3
    assert ran.stdout.count("\nshown to explain\n") == 3
    assert sorted(each.name for each in (tmp_path / "temporary").iterdir())[:2] == ["w0", "w1"]
