"""``threadkeep du``: what the bytes of a home are spent on."""

import time
from dataclasses import dataclass, field
from typing import Any, Final

import typer

from cli import errors, output
from cli.list_ import label
from cli.options import Places
from cli.run import caught_up, read_index
from state.index import ThreadIndex
from state.usage import WAYS, BigThread, Images, Part, Usage, measure_images, usage_steps

THREAD: Final = "thread"


@dataclass(slots=True)
class _Found:
    usage: Usage
    note: str
    """Why it may not be whole yet."""
    images: Images | None = None
    """None if they were not asked for."""
    images_by_thread: dict[str, Images] = field(default_factory=dict)


def run(places: Places, by: str | None, *, images: bool, limit: int, as_json: bool) -> int:
    """Tell the usage, or only the table ``by``. Gives the exit status."""
    if by not in (None, THREAD, *WAYS):
        raise typer.BadParameter(f"{by!r} is no table: use one of {', '.join((THREAD, *WAYS))}")

    async def work(index: ThreadIndex) -> _Found:
        note = await caught_up(index)
        now_ms = time.time_ns() // 1_000_000
        found = _Found(await index.database.run(usage_steps(now_ms, limit)), note)
        if images:
            with output.progress("reading") as report:
                found.images, found.images_by_thread = await measure_images(index, report)
        return found

    found = read_index(places, work)
    if as_json:
        output.data(_document(found))
    else:
        _tell(found, by, limit)
    if found.note:
        output.say(found.note)
    problems = found.images.problems if found.images else {}
    for path, problem in problems.items():
        output.say(output.one_line(f"{path}: {problem}"))
    return errors.SOME_UNREADABLE if problems else errors.OK


def _document(found: _Found) -> dict[str, Any]:
    total = found.usage.total
    return {
        "version": 1,
        "bytes": total.size_bytes,
        "files": total.files,
        "threads": total.threads,
        "complete": not found.note,
        "images": _images(found.images),
        "by": {way: [_part(part) for part in parts] for way, parts in found.usage.by.items()},
        "biggest": [
            {
                "threadId": big.row["id"],
                "title": label(big.row),
                "cwd": big.row["cwd"],
                "updatedAt": output.iso(big.row["updated_at_ms"]),
                "path": big.row["rollout_path"],
                "bytes": big.size_bytes,
                "files": big.files,
                "images": _images(found.images_by_thread.get(big.row["id"])),
            }
            for big in found.usage.biggest
        ],
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "bytes": part.size_bytes,
        "files": part.files,
        "threads": part.threads,
    }


def _images(images: Images | None) -> dict[str, Any] | None:
    if images is None:
        return None
    return {
        "contentBytes": images.content_bytes,
        "images": images.images,
        "imageBytes": images.image_bytes,
        "share": round(_share(images), 4),
        "problems": [{"path": path, "reason": reason} for path, reason in images.problems.items()],
    }


def _share(images: Images) -> float:
    return images.image_bytes / images.content_bytes if images.content_bytes else 0.0


def _tell(found: _Found, by: str | None, limit: int) -> None:
    total = found.usage.total
    files, threads = output.plural(total.files, "file"), output.plural(total.threads, "thread")
    output.line(f"{output.amount(total.size_bytes)}B in {files} of {threads}")
    if found.images:
        content = output.amount(found.images.content_bytes)
        encoded = output.amount(found.images.image_bytes)
        count = output.plural(found.images.images, "image")
        output.line(f"{encoded}B of {content}B of content is {count}: {_share(found.images):.1%}")
    for way, parts in found.usage.by.items():
        if by in (None, way):
            _table(way, parts, total.size_bytes, limit)
    if by in (None, THREAD):
        _threads(found)


def _table(way: str, parts: list[Part], whole: int, limit: int) -> None:
    # The name stands last: it may be as long and wide as it likes.
    output.line(f"\n{'bytes':>9} {'share':>6} {'files':>9} {'threads':>9}  {way}")
    for part in parts[:limit]:
        share = part.size_bytes / whole if whole else 0.0
        size = f"{output.amount(part.size_bytes)}B"
        output.line(
            f"{size:>9} {share:>6.1%} {part.files:>9,} {part.threads:>9,}  {_name(part.name)}"
        )
    if len(parts) > limit:
        output.line(f"{'':>9} and {len(parts) - limit:,} more: --by {way} --limit N")


def _name(name: str | None) -> str:
    if name is None:
        return "(no thread)"
    return output.one_line(name) or "(none)"


def _threads(found: _Found) -> None:
    images = f"{'images':>7} " if found.images else ""
    output.line(f"\n{'bytes':>9} {'files':>6} {images} {'updated':<20}  {'id':<36}  thread")
    for big in found.usage.biggest:
        output.line(_thread(big, found.images_by_thread.get(big.row["id"])))


def _thread(big: BigThread, images: Images | None) -> str:
    size = f"{output.amount(big.size_bytes)}B"
    share = f"{_share(images):>7.1%} " if images else ""
    updated = output.iso(big.row["updated_at_ms"])
    text = output.one_line(label(big.row))[:80]
    return f"{size:>9} {big.files:>6,} {share} {updated:<20}  {big.row['id']}  {text}"
