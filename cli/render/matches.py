"""Threads that a search found, with the messages that match, for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cli.render.threads import OF_FLEET, ThreadTable
from cli.terminal import output
from cli.terminal.cells import around, settled_pieces
from cli.terminal.style import Painter, painter
from cli.terminal.text import iso, one_line, plural

if TYPE_CHECKING:
    from state.fulltext.hits import Hit, Passage
    from state.query.marks import Marks

MOST_SHOWN: Final = 3
"""Messages of a thread."""
_WHO: Final = {
    **{"userMessage": "you", "agentMessage": "agent", "name": "name"},
    **{"fileAdded": "added", "fileChanged": "changed", "fileDeleted": "deleted"},
    "fileMoved": "moved",
}
_BEFORE_TEXT: Final = 9


@dataclass(frozen=True, slots=True)
class Matches:
    """Threads that were found, in order, each with the passages that match."""

    hits: "Sequence[Hit]"
    passages: "Sequence[Sequence[Passage]]"
    sort_key: str
    short_ids: Mapping[str, str]
    marks: "Mapping[str, Marks]"
    """What users have put on the threads, by id."""

    def fitting(self, room: int | None) -> list[list[str]]:
        """The lines of each thread, with fewer passages, and then with fewer threads, where they
        take more than ``room`` lines; None for any. Blank lines between threads count."""
        blocks = self._blocks(MOST_SHOWN)
        for most in range(MOST_SHOWN - 1, 0, -1):
            if room is None or _height(blocks) <= room:
                return blocks
            blocks = self._blocks(most)
        while room is not None and len(blocks) > 1 and _height(blocks) > room:
            blocks.pop()
        return blocks

    def count(self, shown: int, *, more: bool) -> str:
        """How many matches the first ``shown`` threads have, and how to see ``more`` threads."""
        total = sum(hit.matches for hit in self.hits[:shown])
        count = f"{total:,} {'match' if total == 1 else 'matches'} in"
        if not more:
            return f"{count} {plural(shown, 'thread')}."
        first = "thread" if shown == 1 else f"{shown:,} threads"
        return f"{count} the first {first}. Use --limit N to see more."

    @property
    def _of_fleet(self) -> tuple[str, ...]:
        return tuple(name for name in OF_FLEET if any(name in hit.row for hit in self.hits))

    def _blocks(self, most: int) -> list[list[str]]:
        table = ThreadTable(
            columns=("thread", "age", *self._of_fleet, "folder", "branch", "id"),
            sort_key=self.sort_key,
            short_ids=self.short_ids,
            emphasis="bold",
            marks=self.marks,
        )
        _, *heads = table.lines([hit.row for hit in self.hits])
        paint, width = painter(), output.width()
        blocks: list[list[str]] = []
        for head, hit, found in zip(heads, self.hits, self.passages, strict=True):
            block = [head, *(_line(passage, width, paint) for passage in found[:most])]
            if (rest := hit.matches - len(found[:most])) > 0:
                block.append(paint(f"{' ' * _BEFORE_TEXT}and {rest:,} more", "dim"))
            blocks.append(block)
        return blocks


def passage_json(passage: "Passage") -> dict[str, Any]:
    """A passage, for ``--json``."""
    return {
        "kind": passage.kind,
        "turnId": passage.turn_id,
        "itemId": passage.item_id,
        "snippet": passage.snippet.text,
        "ranges": [{"start": start, "end": end} for start, end in passage.snippet.spans],
    }


def _height(blocks: Sequence[Sequence[str]]) -> int:
    return sum(len(block) + 1 for block in blocks) - 1


def _line(passage: "Passage", width: int, paint: Painter) -> str:
    pieces = settled_pieces(passage.snippet.text, passage.snippet.spans)
    who = f"  {_WHO.get(passage.kind, passage.kind):>5}  "
    shown = around(pieces, max(width - len(who), _BEFORE_TEXT))
    return paint(who, "dim") + "".join(
        paint(text, "bold yellow" if marked else "") for text, marked in shown
    )


def piped(
    hits: "Sequence[Hit]", passages: "Sequence[Sequence[Passage]]", sort_key: str
) -> Iterator[str]:
    """For pipes: one passage a line, tab-separated; in a fleet with the machine and its user."""
    for hit, where in zip(hits, passages, strict=True):
        for passage in where:
            values = (
                hit.row["id"],
                iso(hit.row[f"{sort_key}_ms"]),
                passage.kind,
                passage.turn_id or "",
                passage.item_id or "",
                passage.snippet.text,
                *(hit.row[name] for name in OF_FLEET if name in hit.row),
            )
            yield "\t".join(one_line(value) for value in values)
