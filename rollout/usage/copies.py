"""What the copies of one rollout tell together: each response once."""

from pathlib import Path

from rollout.jsonl.reader import open_rollout
from rollout.usage.file import reduce_usage
from rollout.usage.model import FileUsage, add_rows, newest_limits
from rollout.usage.reducer import UsageReducer


def usage_of_copies(home: Path | str, paths: list[str]) -> FileUsage:
    """What the files at ``paths`` below ``home`` tell, which have lines in common: an archived copy
    beside the file, a compressed one, or one in which the thread went on elsewhere. A file tells
    what it has before it is damaged; one that is gone tells nothing. The one with the earliest time
    in its name comes first: others may have its lines with the time at which they were copied.
    """
    seen: set[tuple[object, ...]] = set()
    in_turn = sorted(paths, key=lambda path: path.rpartition("/")[2])
    found = [_usage_of(f"{home}/{path}", seen) for path in in_turn]
    return FileUsage(
        add_rows(usage.rows for usage in found),
        limits=newest_limits(usage.limits for usage in found),
        odd=sum(usage.odd for usage in found),
        odd_at=next((usage.odd_at for usage in found if usage.odd), None),
    )


def _usage_of(path: str, seen: set[tuple[object, ...]]) -> FileUsage:
    reducer = UsageReducer(seen=seen)
    try:
        with open_rollout(path, []) as stream:
            reduce_usage(stream, reducer)
    except OSError:
        pass  # a finding elsewhere, as damage is
    seen |= reducer.told
    return reducer.usage()
