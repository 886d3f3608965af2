"""How long the reader takes from a key to the end of a thread on the screen."""

import time
from pathlib import Path
from typing import Final

from textual.app import App

from cli.browse.picked import Picked
from cli.browse.reader.screen import ReaderScreen
from state.query.rows import Row
from state.thread_index import ThreadIndex, open_index
from tests.bench.measure import Cost

_SIZE: Final = (120, 40)
_LOOK_S: Final = 0.001


async def opened(home: Path, index: Path, ids: list[str], rounds: int) -> dict[str, list[Cost]]:
    """What opening each of some threads costs, in turn, in each round in another app: until its
    last line is drawn. None of them may be stored in the index."""
    found: dict[str, list[Cost]] = {id_: [] for id_ in ids}
    async with open_index(home, index) as store:
        await store.sync()
        rows = [await store.thread(id_) for id_ in ids]
        for _ in range(rounds):
            for row in rows:
                found[row["id"]].append(await _opened(store, row))
    return found


async def _opened(store: ThreadIndex, row: Row) -> Cost:
    app: App[Picked | None] = App()
    async with app.run_test(size=_SIZE) as pilot:
        await pilot.pause()
        began, used = time.perf_counter(), time.process_time()
        screen = ReaderScreen(store, row)
        await app.push_screen(screen)
        while not screen.turns.drawn:
            await pilot.pause(_LOOK_S)
        return Cost(time.perf_counter() - began, time.process_time() - used)
