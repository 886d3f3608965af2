"""``threadkeep export``: threads as files for people and programs, each by itself."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import errors
from cli.arguments.locations import Locations
from cli.errors import outcome
from cli.render.html import page
from cli.render.json_document import document
from cli.render.markdown import markdown
from cli.render.reading import Reading, TurnSelection, opened
from cli.runtime.open_index import catch_up_and_report, read_index
from cli.terminal import damage, output
from cli.terminal.save_file import saved
from cli.terminal.text import one_line
from rollout.errors import RolloutError
from rollout.history.segments import raw_lines
from rollout.jsonl.parse import BadLine, Line, parse_line
from state.errors import StateError, file_errors
from state.query.rows import Row
from state.thread_index import ThreadIndex

if TYPE_CHECKING:
    from cli.redact.redactor import Redactor


class Kind(StrEnum):
    """What a thread is written as."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"
    JSONL = "jsonl"


def run(
    locations: Locations,
    references: Sequence[str],
    kind: Kind,
    target: Path | None,
    *,
    folder: bool,
    redact: bool,
    as_json: bool,
) -> int:
    """Write threads, each once, to files of the ``folder`` that ``target`` is, or one to the file
    that it is, or to stdout. Gives the exit status."""
    if list(references) == ["-"]:
        references = [line.strip() for line in sys.stdin if line.strip()]
    redactor: Redactor | None = None
    if redact:
        from cli.redact import redactor as module

        redactor = module.Redactor()
    written: dict[str, dict[str, Any]] = {}
    failed: list[tuple[str, RolloutError | StateError]] = []

    async def work(index: ThreadIndex) -> Reading | None:
        await catch_up_and_report(index)
        for reference in references:
            try:
                row = await index.thread(reference)
                id_ = row["id"]
                if id_ in written:
                    continue
                reading = await _opened(index, row, redactor)
                if target is None:
                    return reading
                path = _inside(target, f"{id_}.{kind}") if folder else target
                with reading:
                    size = await saved(path, _content(reading, kind, redactor))
                cut = damage.document(reading.dialogue.damage, locations.home)
                written[id_] = {"id": id_, "path": str(path), "sizeBytes": size, "damage": cut}
                if not as_json:
                    output.line(str(path))
                damage.tell(reading.dialogue.damage, locations.home, id_)
            except (RolloutError, StateError) as error:
                if len(references) == 1:
                    raise
                failed.append((reference, error))
        return None

    reading = read_index(locations, work)
    if reading is not None:
        with reading:
            for piece in _content(reading, kind, redactor):
                output.write(_for_stdout(piece, kind))
        damage.tell(reading.dialogue.damage, locations.home, reading.row["id"])
    if as_json:
        output.data(_document([*written.values()], failed, redactor))
    for reference, error in failed:
        output.say(one_line(f"threadkeep: {reference}: {error}"))
        output.say(f"  {outcome(error).hint}")
    if redactor is not None:
        for text in redactor.report():
            output.say(text)
    return errors.SOME_UNREADABLE if failed else errors.OK


def _for_stdout(piece: bytes, kind: Kind) -> bytes:
    if kind is not Kind.JSONL or not output.on_terminal():
        return piece
    return output.shown_json(piece.decode("utf-8", "replace")).encode()


def _inside(folder: Path, name: str) -> Path:
    """A place in a folder, which is made if it is not there."""
    with file_errors(folder):
        folder.mkdir(exist_ok=True)
    return folder / name


async def _opened(index: ThreadIndex, row: Row, redactor: "Redactor | None") -> Reading:
    if redactor is None:
        return await opened(index, row, TurnSelection(), images=True)
    redactor.look_at(row["cwd"], str(index.home))
    return await opened(index, row, TurnSelection(), images=True, cleaned=redactor.value)


def _content(reading: Reading, kind: Kind, redactor: "Redactor | None") -> Iterator[bytes]:
    if kind is Kind.JSONL:
        lines = raw_lines(reading.dialogue.parts)
        yield from lines if redactor is None else _redacted(lines, redactor)
        return
    writers = {Kind.MARKDOWN: markdown, Kind.HTML: page, Kind.JSON: document}
    for text in writers[kind](reading):
        yield text.encode("utf-8", "replace")


def _redacted(lines: Iterable[bytes], redactor: "Redactor") -> Iterator[bytes]:
    from rollout.jsonl.parse import compact_json

    for raw in lines:
        item = parse_line(Line(0, raw.rstrip(b"\n")), images=True)
        if item is None:
            continue
        if isinstance(item, BadLine):  # what is no JSON is a text all the same
            yield redactor.text(raw.decode("utf-8", "replace")).encode("utf-8", "replace")
            continue
        spelled = compact_json(redactor.value(item))
        if spelled is not None:
            yield spelled.encode("utf-8", "replace") + b"\n"


def _document(
    written: list[dict[str, Any]],
    failed: list[tuple[str, RolloutError | StateError]],
    redactor: "Redactor | None",
) -> dict[str, Any]:
    return {
        "version": 1,
        "exported": written,
        "failed": [
            {"thread": reference, "reason": str(error), "kind": outcome(error).kind}
            for reference, error in failed
        ],
        "redacted": dict(sorted(redactor.counts.items())) if redactor else None,
    }
