"""No change is missed between the begin of a watch and the first scan."""

import asyncio
from collections.abc import Collection
from pathlib import Path

from state.watch.fs_events import FileEvents
from tests.samples import homes
from tests.support.effort import PATIENCE_S


def test_the_folders_are_watched_when_the_first_scan_is_asked_for(home: Path) -> None:
    """A change after the scan is an event, even if it comes at once."""
    homes.write(home, 1)
    seen: asyncio.Queue[Collection[str] | None] = asyncio.Queue()
    written: list[Path] = []

    def on_change(paths: Collection[str] | None) -> None:
        if not written:
            assert paths is None
            written.append(homes.write(home, 2))
        seen.put_nowait(paths)

    async def scenario() -> None:
        following = asyncio.create_task(FileEvents(home, on_change).follow())
        async with asyncio.timeout(PATIENCE_S):
            assert await seen.get() is None
            wanted = str(written[0].relative_to(home))
            while wanted not in (await seen.get() or ()):
                pass
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(scenario())
