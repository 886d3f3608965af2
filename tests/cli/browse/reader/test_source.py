"""What the reader is given of threads, which is what ``show`` shows."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.browse.reader.pieces import Laid, Look, Piece, lay_out, wrap
from cli.render.blocks.block import Block, Role
from cli.render.reading import open_reading
from cli.render.text import written
from cli.render.turn_selection import TurnSelection
from cli.terminal.cells import cells
from cli.turns.block_text import spans_of
from cli.turns.heads import Key
from cli.turns.source import TurnSource
from rollout.search.terms import Matcher, Term
from state.db.steps import Steps
from state.thread_index import ThreadIndex, open_index
from tests.samples.rollouts import CORPUS
from tests.support.indexes import empty_index

_WIDE = 1_000_000
_NOT_SHOWN = ("user", "agent", "reasoning")


def _laid(_: int, blocks: Iterator[tuple[Key, Block]]) -> Laid:
    return lay_out(blocks, Look(_WIDE), frozenset())


async def _lines(source: TurnSource) -> list[str]:
    """All lines of a thread."""
    found = []
    for head in (await source.known(whole=True)).heads:
        number, count = 0, 1
        while number < count:
            (chunk,) = await source.chunks([(head, number)], _laid)
            assert chunk
            count, number = chunk.of, number + 1
            found += ["".join(piece.text for piece in line.pieces) for line in chunk.made.lines]
    return found


def _every_steps() -> Steps[list[str]]:
    return [id_ for (id_,) in (yield "SELECT id FROM threads", [])]


async def _shown(index: ThreadIndex, thread: str) -> list[str]:
    """The lines of ``show`` behind the heading of the first turn."""
    row = (await index.rows_of([thread]))[thread]
    with await open_reading(index, row, TurnSelection()) as reading:
        text = "".join(written(reading, full=False))
        first = next((f"\n{turn.name} · " for turn in reading.turns()), "\0")
    return text.partition(first)[2].split("\n")[1:]


def test_all_that_show_shows_of_real_threads_is_there(tmp_path: Path) -> None:
    async def run() -> None:
        empty_index(tmp_path / "index")
        async with open_index(CORPUS, tmp_path / "index") as index:
            await index.catch_up()
            every = await index.database.query(_every_steps())
            rows = [*(await index.rows_of(every)).values()]
            assert len(rows) > 50
            for row in rows:
                source = TurnSource(index, row)
                here = "\n".join(await _lines(source)).replace("▸ ", "").replace("▾ ", "")
                await source.close()
                for line in await _shown(index, row["id"]):
                    text = line.strip().replace("\t", "    ")
                    heading = text.startswith(("turn ", "outside of any turn"))
                    if text and not heading and text.split("  (")[0] not in _NOT_SHOWN:
                        assert _plain(text) in _plain(here), (row["id"], line)

    asyncio.run(run())


def _plain(text: str) -> str:
    """Without what the two say in other ways."""
    for mark in ("┃ ", "**", "(", ")", " (--full)"):
        text = text.replace(mark, "")
    return " ".join(text.split()).replace(" --full", "").translate({0xFE0F: None, 0xFE0E: None})


@pytest.mark.parametrize(
    "text", ["a few words in a line", "日本語の文章はここで切れます", "x" * 90, "", " "]
)
@pytest.mark.parametrize("room", [8, 20])
@pytest.mark.parametrize("words", [True, False])
def test_wrapped_lines_fit_and_lose_nothing(text: str, room: int, words: bool) -> None:
    parts = [text[start:end] for start, end in wrap(text, room, 2, words=words)]
    assert all(cells(part) <= room for part in parts)
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")


def test_combining_characters_stay_in_the_width() -> None:
    text = "e\u0301" * 50
    assert all(cells(text[a:b]) <= 10 for a, b in wrap(text, 10, words=False))


def test_matches_are_where_they_are_drawn() -> None:
    from cli.browse.reader.pieces import lay_out

    term = Term.of("two words")
    assert term
    matcher = Matcher([term])
    block = Block(Role.USER, "user", "some text with Two\nwords\tin it")
    (span,) = spans_of(block, matcher)
    laid = lay_out([((0, 0), block)], Look(80, matcher=matcher), frozenset())
    hits = [piece for line in laid.lines for piece in line.pieces if piece.hit >= 0]
    assert hits == [Piece("Two", "user", span[0]), Piece("words", "user", span[0])]
