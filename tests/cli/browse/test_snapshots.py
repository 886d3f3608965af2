"""What the picker looks like: pictures of its screen, with a frozen clock.

A picture that has changed is written beside the one it is compared with; look at both, and rename
it if it is right.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from state.edit.marks import set_marks
from state.jobs.progress import JobProgress
from state.query.listing import key_steps
from state.query.model import Query
from tests.cli.browse.support import Picker, picking

SNAPSHOTS = Path(__file__).parent / "snapshots"
NOW_MS = 1_795_780_000_000
NARROW, WIDE = (80, 24), (120, 40)
Steps = Callable[[Picker], Awaitable[None]]


async def look(picker: Picker) -> None:
    """Nothing is done: the list as it is at first, with marks."""


async def search(picker: Picker) -> None:
    await picker.type("reply")
    await picker.press("down", "down", "down")


async def unfold(picker: Picker) -> None:
    await picker.press("f7", "down", "space", "down", "space")


async def miss(picker: Picker) -> None:
    await picker.type("qqxy")


async def fill(picker: Picker) -> None:
    picker.app._behind(JobProgress(20_000, 6_789), "")


CASES: dict[str, tuple[Steps, tuple[int, int], bool]] = {
    "list-80x24-dark": (look, NARROW, False),
    "list-80x24-light": (look, NARROW, True),
    "list-120x40-dark": (look, WIDE, False),
    "list-120x40-light": (look, WIDE, True),
    "search-80x24-light": (search, NARROW, True),
    "search-120x40-dark": (search, WIDE, False),
    "details-120x40-dark": (unfold, WIDE, False),
    "nothing-80x24-dark": (miss, NARROW, False),
    "filling-80x24-light": (fill, NARROW, True),
}


@pytest.mark.parametrize("name", CASES)
def test_the_picker_looks_as_it_did(
    name: str, corpus_home: Path, own_corpus_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, size, light = CASES[name]
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("HOME", "/home/dev")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()

    async def work() -> str:
        options = {"size": size, "folder": "/srv/app", "now_ms": lambda: NOW_MS}
        async with picking(corpus_home, own_corpus_index, **options) as picker:  # type: ignore[arg-type]
            picker.app._finder.clock = lambda: 0.0
            picker.app.box.cursor_blink = False
            listed = key_steps(Query(sort_key="recency_at"), None, 8)
            newest = [id_ for _, id_, _ in await picker.app.index.database.query(listed)]
            await set_marks(picker.app.index, newest[7:8], {"pinned": "1", "tag:release": "1"})
            await set_marks(picker.app.index, newest[:1], {"status": "doing", "tag:tests": "1"})
            await set_marks(picker.app.index, newest[2:3], {"status": "todo"})
            await picker.app.reload()
            await picker.press("ctrl+home")
            await steps(picker)
            await picker.settled()
            app = picker.app
            await picker.until(lambda: app.preview.is_of(picker.current, app.wanted().terms))
            await picker.pilot.pause()
            return picker.picture(light=light)

    drawn = asyncio.run(work())
    kept = SNAPSHOTS / f"{name}.svg"
    if not kept.exists() or kept.read_text("utf-8") != drawn:
        kept.with_suffix(".new.svg").write_text(drawn, "utf-8")
        pytest.fail(f"{name} looks different: compare {kept.with_suffix('.new.svg')}")
