"""The program in the documents does what they say."""

import json
import re
import subprocess
import sys
from pathlib import Path

from state.thread_store import ThreadStore
from tests import ROOT
from tests.support.checks import codes, verified
from tests.support.command import Cli

PAGE = ROOT / "docs" / "library.md"


def test_the_example_records_a_conversation(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "home", tmp_path)
    cli.home.mkdir()
    program, _ = re.findall(r"(?s)```python\n(.*?)```", PAGE.read_text("utf-8"))
    script = tmp_path / "example.py"
    script.write_text(program, "utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(cli.home), str(cli.index)],
        capture_output=True,
        text=True,
        check=True,
    )
    id_, shown = done.stdout.rstrip().split(" ", 1)
    assert shown == "Another way - What is 2 + 2?"
    assert cli.ids() == [id_]
    (archived,) = cli.ids("--archived")
    assert len([line for line in program.splitlines() if line]) < 40
    sizes = {
        path.parent.name == "archived_sessions": len(path.read_bytes().splitlines())
        for path in cli.home.rglob("rollout-*.jsonl")
    }
    assert sizes == {True: 9, False: 6}
    row = json.loads(cli.run("show", id_, "--json").out)["thread"]
    assert row["forkedFromId"] == archived
    assert codes(verified(cli.home, cli.index)) == {}


def test_the_example_of_a_test_writes_nothing(tmp_path: Path) -> None:
    _, program = re.findall(r"(?s)```python\n(.*?)```", PAGE.read_text("utf-8"))
    script = tmp_path / "example.py"
    script.write_text(program, "utf-8")
    done = subprocess.run(
        [sys.executable, "-B", str(script)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
    )
    assert done.stdout == "['Does it work?'] True\n"
    assert [*tmp_path.iterdir()] == [script]


def test_every_method_of_the_store_is_described() -> None:
    told = set(re.findall(r"`(\w+)[(`]", PAGE.read_text("utf-8")))
    methods = {name for name in dir(ThreadStore) if not name.startswith("_")}
    assert methods - {"close"} <= told
