"""The comparison with ccusage: by a program in its place, and by ccusage where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollout.usage.model import Tokens
from tests import ROOT
from tests.samples.rollouts import CORPUS, event, meta, rollout_path, turn, write_rollout
from tests.usage.spending import counts

CCUSAGE = os.environ.get("THREADKEEP_CCUSAGE", "")
USED = Tokens(90, 0, 0, 10, 0, 100)
PLAIN = "01a14000-0000-7000-8000-000000000001"
PACKED = "01a14000-0000-7000-8000-000000000002"


def compared(home: Path, ccusage: Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.usage.compare", str(home), "--ccusage", str(ccusage)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def in_its_place(folder: Path, daily: int, sessions: int) -> Path:
    """A program that answers as ccusage does, for the plain one of two threads."""
    days = [{"date": "2026-10-15", "models": {"gpt-5.2-codex": {"totalTokens": daily}}}]
    file = rollout_path(PLAIN).rpartition("/")[2].removesuffix(".jsonl")
    found = {
        "daily": {"daily": days},
        "session": {"sessions": [{"sessionFile": file, "totalTokens": sessions}]},
    }
    program = folder / "ccusage"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\nprint(json.dumps({found!r}[sys.argv[2]]))\n"
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def home(tmp_path: Path) -> Path:
    info = {"total_token_usage": counts(USED), "last_token_usage": counts(USED)}
    for thread_id, suffix in ((PLAIN, ""), (PACKED, ".zst")):
        lines = [meta(thread_id), turn(), event("token_count", info=info)]
        write_rollout(tmp_path, lines, rollout_path(thread_id) + suffix)
    return tmp_path


def test_a_difference_is_listed_by_day_and_file_with_its_reason(home: Path, tmp_path: Path) -> None:
    found = compared(home, in_its_place(tmp_path, 100, 100))
    assert found.returncode == 0, found.stderr
    _, day, _, name, reason = found.stdout.splitlines()
    assert day.split() == ["2026-10-15", "gpt-5.2-codex", "200", "100", "+100"]
    assert PACKED in name
    assert reason == "  +100: the file is compressed, which ccusage does not read"


def test_a_difference_without_a_known_reason_fails(home: Path, tmp_path: Path) -> None:
    found = compared(home, in_its_place(tmp_path, 103, 103))
    assert found.returncode == 1
    assert "the reason is not known" in found.stdout


@pytest.mark.skipif(not CCUSAGE, reason="no THREADKEEP_CCUSAGE")
def test_every_difference_of_the_corpus_has_a_reason() -> None:
    found = compared(CORPUS, CCUSAGE)
    assert found.returncode == 0, found.stdout
