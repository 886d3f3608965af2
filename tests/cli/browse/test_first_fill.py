"""The picker on an empty index of many files, which worker processes read."""

import asyncio
from pathlib import Path

from tests.cli.browse.support import picking
from tests.support.command import thread_id, write_rollout

FILES = 1_100
"""So many files are read in processes (state/jobs/pool.py)."""


def test_an_index_of_many_files_is_filled_behind_the_list(home: Path, index_path: Path) -> None:
    for number in range(FILES):
        write_rollout(home, number, f"thing {number}")

    async def work() -> None:
        async with picking(home, index_path) as picker:
            assert picker.app.failure is None
            assert picker.app.threads.total == FILES
            assert picker.current == thread_id(FILES - 1)

    asyncio.run(work())
