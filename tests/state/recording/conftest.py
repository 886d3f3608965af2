"""A store of a home, for the tests of recording."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from state.thread_store import open_store
from tests.state.recording.recorded import Use, Using


@pytest.fixture
def use(home: Path, index_path: Path) -> Use:
    """Does something with a store of the home, which is closed after it."""

    def used(work: Using) -> Any:
        async def opened() -> Any:
            async with open_store(home, index_path) as store:
                return await work(store)

        return asyncio.run(opened())

    return used
