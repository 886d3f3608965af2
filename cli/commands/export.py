"""``threadkeep export``."""

import os
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import errors
from cli.arguments.filters import Filters, selected, takes_filters
from cli.arguments.fleet import FleetOptions, takes_fleet
from cli.arguments.locations import Locations
from cli.arguments.options import (
    AnyThreadsArgument,
    ArchivedOption,
    ForceOption,
    JsonOption,
)
from cli.errors import outcome
from cli.terminal import damage, output
from cli.terminal.text import one_line
from rollout.errors import RolloutError, without_expansion_limit
from state.errors import StateError, file_errors

if TYPE_CHECKING:
    from cli.redact.redactor import Redactor
    from cli.render.reading import Reading
    from state.query.model import Query
    from state.query.rows import Row
    from state.thread_index import ThreadIndex


KINDS = ("md", "html", "json", "jsonl")


@takes_filters
@takes_fleet
def command(
    context: typer.Context,
    threads: AnyThreadsArgument = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="KIND",
            help="md, html, json or jsonl. [default: by the ending of --output, else md]",
            show_default=False,
        ),
    ] = None,
    output_path: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A file, or a folder for files named by ids (FOLDER/ is created). - is stdout.",
        ),
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Remove secrets, e-mails, home folders and user names.")
    ] = False,
    archived: ArchivedOption = False,
    *,
    filters: Filters,
    fleet: FleetOptions,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> int:
    """Save threads as files that need nothing else: Markdown, HTML, JSON or raw lines."""
    from cli.edit import batch
    from cli.runtime.target import check_target

    references = [*dict.fromkeys(threads or [])]
    here = fleet.locations(context)
    query = selected(filters, references, archived=archived, also=bool(fleet.user))
    if query is not None:
        query = replace(query, **fleet.filters)
    if output_path is not None and not output_path.strip():  # as of an unset variable
        raise typer.BadParameter("--output is empty\nname a file or folder: --output PATH")
    target = None if output_path in (None, "-") else Path(output_path or "")
    kind = kind or (target.suffix[1:] if target and target.suffix[1:] in KINDS else "md")
    if kind not in KINDS:
        raise typer.BadParameter(f"--format: unknown kind\ngive one of {', '.join(KINDS)}")
    folder = target is not None and (target.is_dir() or str(output_path).endswith(os.sep))
    if target is not None and folder and target.exists() and not target.is_dir():
        raise typer.BadParameter(f"{target} is not a folder")
    several = query is not None or len(references) > 1 or "-" in references
    if several and not folder:
        raise typer.BadParameter("several threads need a folder\nname one: --output FOLDER/")
    if as_json and target is None:
        raise typer.BadParameter(
            "--json reports the files that are written\nname a file or folder: --output PATH"
        )
    check_target(here, target, folder=folder)
    references = [*dict.fromkeys(batch.named(references))]
    with without_expansion_limit(force):
        return _export(
            here,
            references,
            query,
            kind,
            target,
            folder=folder,
            redact=redact,
            as_json=as_json,
        )


def _export(
    here: Locations,
    references: Sequence[str],
    query: "Query | None",
    kind: str,
    target: Path | None,
    *,
    folder: bool,
    redact: bool,
    as_json: bool,
) -> int:
    """Write each thread once, into the folder or file ``target`` or to stdout. Returns the exit
    status."""
    from cli.edit import batch
    from cli.runtime.cached import say_passed_over
    from cli.runtime.open_index import catch_up_and_report, read_index
    from cli.terminal.save_file import saved

    several = query is not None or len(references) > 1
    redactor: Redactor | None = None
    if redact:
        from cli.redact import redactor as module

        redactor = module.Redactor()
    written: dict[str, dict[str, Any]] = {}
    failed: list[tuple[str, RolloutError | StateError]] = []

    async def work(index: "ThreadIndex") -> "Reading | None":
        await catch_up_and_report(index)
        found = [entry.reference for entry in await batch.find(index, [], query)]
        for reference in found or references:
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
                cut = damage.document(reading.dialogue.damage, reading.home)
                written[id_] = {"id": id_, "path": str(path), "sizeBytes": size, "damage": cut}
                row = reading.row
                written[id_].update((key, row[key]) for key in ("machine", "user") if key in row)
                if not as_json:
                    output.line(str(path))
                say_passed_over(row, id_ if several else "")
                damage.report(reading.dialogue.damage, reading.home, id_)
            except (RolloutError, StateError) as error:
                if len(references) == 1:
                    raise
                failed.append((reference, error))
        return None

    reading = read_index(here, work)
    if reading is not None:
        with reading:
            for piece in _content(reading, kind, redactor):
                output.write(_for_stdout(piece, kind))
        say_passed_over(reading.row)
        damage.report(reading.dialogue.damage, reading.home, reading.row["id"])
    if as_json:
        output.data(_document([*written.values()], failed, redactor))
    for reference, error in failed:
        output.say(one_line(f"threadkeep: {reference}: {error}"))
        output.say(f"  {outcome(error).hint}")
    if redactor is not None:
        for text in redactor.report():
            output.say(text)
    if query is not None and not (written or failed):
        output.say("No threads match.")
        return errors.NO_MATCH
    return errors.SOME_UNREADABLE if failed else errors.OK


def _for_stdout(piece: bytes, kind: str) -> bytes:
    if kind != "jsonl" or not output.on_terminal():
        return piece
    return output.shown_json(piece.decode("utf-8", "replace")).encode()


def _inside(folder: Path, name: str) -> Path:
    """A path in a folder, which is created if needed."""
    with file_errors(folder):
        folder.mkdir(exist_ok=True)
    return folder / name


async def _opened(index: "ThreadIndex", row: "Row", redactor: "Redactor | None") -> "Reading":
    from cli.render.reading import open_reading
    from cli.render.turn_selection import TurnSelection

    def opened(index: "ThreadIndex", row: "Row") -> "Awaitable[Reading]":
        return open_reading(index, row, TurnSelection(), images=True)

    if index.database.is_fleet:
        from cli.runtime.cached import fleet_thread

        thread = await fleet_thread(index, row)
        reading = await thread.read(opened)
    else:
        reading = await opened(index, row)
    if redactor is None:
        return reading
    redactor.look_at(row["cwd"], str(reading.home))
    return replace(reading, cleaned=redactor.value, cleaned_copy=redactor.copy)


def _content(reading: "Reading", kind: str, redactor: "Redactor | None") -> Iterator[bytes]:
    from cli.render.html.thread import page
    from cli.render.json_document import document
    from cli.render.markdown import markdown
    from rollout.history.segments import raw_lines

    if kind == "jsonl":
        lines = raw_lines(reading.dialogue.parts)
        yield from lines if redactor is None else _redacted(lines, redactor)
        return
    writers = {"md": markdown, "html": page, "json": document}
    for text in writers[kind](reading):
        yield text.encode("utf-8", "replace")


def _redacted(lines: Iterable[bytes], redactor: "Redactor") -> Iterator[bytes]:
    from rollout.jsonl.parse import BadLine, Line, compact_json, parse_line

    for raw in lines:
        item = parse_line(Line(0, raw.rstrip(b"\n")), images=True)
        if item is None:
            continue
        if isinstance(item, BadLine):  # text that is not JSON is redacted, too
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
