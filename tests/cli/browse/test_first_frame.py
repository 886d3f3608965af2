"""The first frame has the layout of what Textual draws then."""

import asyncio
import re
from pathlib import Path

import pytest

from cli.arguments.locations import Locations
from cli.browse.first_frame import Layout, first_page, frame
from cli.browse.threads.counts import project_name, scope_text
from tests.cli.browse.support import picking


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (111, 25), (61, 15)])
@pytest.mark.parametrize("colours", [True, False])
def test_the_first_frame_is_as_that_of_textual(
    corpus_home: Path,
    corpus_index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    colours: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    layout = Layout.of(*size)
    page = first_page(Locations(corpus_home, corpus_index), layout.list_height)
    assert page is not None
    scope = scope_text(project_name())
    drawn = frame(page, layout, scope=scope, colours=colours)
    before = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in drawn]

    async def work() -> None:
        async with picking(corpus_home, corpus_index, size=size, caught_up=False) as picker:
            shown = picker.screen
            assert [line.rstrip() for line in before[:2]] == [line.rstrip() for line in shown[:2]]
            assert len(before) == 2 + layout.list_height
            for line, same in zip(before[2:], shown[2:], strict=False):
                assert same.startswith(line)

    asyncio.run(work())
