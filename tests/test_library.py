"""The program in the documents does what they say."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from state.listing import Query
from state.threads import ThreadStore, open_store

from .command import Cli

PAGE = Path(__file__).parents[1] / "docs" / "library.md"


def test_the_example_records_a_conversation(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "home", tmp_path)
    cli.home.mkdir()
    (program,) = re.findall(r"(?s)```python\n(.*?)```", PAGE.read_text("utf-8"))
    script = tmp_path / "example.py"
    script.write_text(program, "utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(cli.home), str(cli.index)],
        capture_output=True,
        text=True,
        check=True,
    )
    id_, preview = done.stdout.rstrip().split(" ", 1)
    assert preview == "What is 2 + 2?"
    assert cli.ids() == [id_]
    assert len(program.splitlines()) < 40
    (path,) = cli.home.rglob("rollout-*.jsonl")
    assert len(path.read_bytes().splitlines()) == 9

    async def listed() -> None:
        async with open_store(cli.home, cli.index) as store:
            assert [row["id"] for row in (await store.list_threads(Query())).rows] == [id_]

    asyncio.run(listed())


def test_every_method_of_the_store_is_described() -> None:
    told = set(re.findall(r"`(\w+)[(`]", PAGE.read_text("utf-8")))
    methods = {name for name in vars(ThreadStore) if not name.startswith("_")}
    assert methods - {"close"} <= told
