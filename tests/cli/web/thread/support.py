"""The page of one thread, as a browser sees it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cli.arguments.locations import Locations
from tests.cli.web.support import SCRIPT, Web, web
from tests.samples.rollouts import THREAD_ID
from tests.support.indexes import sync
from tests.support.reading import save

URL = f"/thread/{THREAD_ID}"


def ask(tmp_path: Path, work: Callable[[Web], Awaitable[None]]) -> None:
    """Index the home, and have a browser look at it."""
    here = Locations(tmp_path / "home", tmp_path / "state" / "index.sqlite3")
    sync(here.home, here.index)

    async def opened() -> None:
        async with web(here) as client:
            await work(client)

    asyncio.run(opened())


def talk(tmp_path: Path, *turns: list[dict[str, Any]], mode: str = "legacy") -> Path:
    return save(tmp_path / "home", [line for each in turns for line in each], mode)


async def shown(client: Web, url: str, status: int = 200, *, script: bool = False) -> str:
    """What a browser, or a script of a page, gets."""
    answer = await client.get(url, headers=SCRIPT if script else {})
    assert answer.status_code == status, answer.text[-2000:]
    return answer.text
