"""``dump``, ``restore`` and ``relink``: what users set, as text, and folders that have moved."""

import asyncio
import json
import os
import sys
from pathlib import Path

from cli import errors
from cli.arguments.locations import Locations
from cli.runtime.open_index import read_index, temporary_copy, with_index
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import iso, one_line, plural
from state.errors import FileUnusable, IndexNotWritable
from state.repair.dump import dump_lines, known_user_data, read_dump, restore
from state.thread_index import ThreadIndex
from state.userdata.model import FolderAlias
from state.userdata.relink import aliases, relink, unlink


def run_dump(locations: Locations, target: Path | None, *, as_json: bool) -> int:
    """Write what users set to ``target``, or to stdout. Gives the exit status."""
    try:
        facts, damaged = asyncio.run(known_user_data(locations.index))
    except IndexNotWritable as problem:
        with temporary_copy(locations, problem) as copy:
            facts, damaged = asyncio.run(known_user_data(copy.index))
            damaged = damaged or not copy.index.exists()
    if damaged:
        output.say("The index cannot be read; this is what facts.jsonl beside it holds.")
    lines = list(dump_lines(facts))
    if target is not None:
        _write(target, lines)
    if as_json:
        output.data(
            {
                "version": 1,
                "file": str(target) if target else None,
                "count": len(lines) - 1,
                "facts": None if target else [json.loads(line) for line in lines[1:]],
            }
        )
    elif target is None:
        output.lines(map(output.shown_json, lines))
    else:
        output.say(f"{plural(len(lines) - 1, 'fact')} in {target}.")
    return errors.OK


def _write(target: Path, lines: list[str]) -> None:
    """Put lines in the place of a file in one step: there is never half a dump. A pipe or a
    device is written to, and stays what it is."""
    content = "".join(f"{line}\n" for line in lines).encode()
    fresh = target.with_name(f"{target.name}.new-{os.getpid()}")
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(content)
            return
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise FileUnusable(target, error.strerror or str(error)) from error


def run_restore(locations: Locations, source: Path | None, *, as_json: bool) -> int:
    """Merge a dump with what users set here. Gives the exit status."""
    if source is None and sys.stdin.isatty():
        output.say("Reading a dump from the terminal; Ctrl-D ends it.")
    try:
        with open(sys.stdin.fileno() if source is None else source, "rb", buffering=0) as file:
            facts = read_dump(file)
    except OSError as error:
        name = source or Path("/dev/stdin")
        raise FileUnusable(name, error.strerror or str(error)) from error
    done = with_index(locations, lambda index: restore(index.database, index.home, facts))
    if as_json:
        output.data({"version": 1, "set": done.set, "equal": done.equal, "older": done.older})
    else:
        output.say(
            f"{plural(done.set, 'fact')} restored; {done.equal:,} were there already,"
            f" {done.older:,} are older than what is there."
        )
    return errors.OK


def run_relink(
    locations: Locations, old: str | None, new: str | None, *, removed: str | None, as_json: bool
) -> int:
    """Set, take back or list aliases of folders. Gives the exit status."""

    async def work(index: ThreadIndex) -> tuple[list[FolderAlias], int | None]:
        if removed is not None:
            return [await unlink(index.database, removed)], None
        if old is None or new is None:
            return await aliases(index.database), None
        with progress("indexing") as report:
            await index.catch_up(report)
        alias, count = await relink(index.database, old, new)
        return [alias], count

    changes = removed is not None or old is not None
    found, count = (with_index if changes else read_index)(locations, work)
    if as_json:
        entries = [
            {"old": alias.alias, "new": alias.value, "setAt": iso(alias.set_at_ms) or None}
            for alias in found
        ]
        output.data({"version": 1, "aliases": entries, "threads": count})
    elif removed is not None:
        output.say(f"{_shown(found[0].alias)} has not moved any more.")
    elif count is not None:
        threads = plural(count, "thread")
        alias = found[0]
        output.say(
            f"{_shown(alias.alias)} is at {_shown(alias.value)} now: {threads} from there and"
            " below are found with --cwd of the new place too."
        )
    elif found:
        output.lines(
            "\t".join((_shown(alias.alias), _shown(alias.value), iso(alias.set_at_ms)))
            for alias in found
        )
    else:
        output.say("No folder was relinked: threadkeep relink OLD NEW does that.")
    return errors.OK


def _shown(folder: str | None) -> str:
    return one_line(folder or "")
