"""Which threads are not pushed: by folder, repository, source or tag."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from rollout.schema.session_source import kinds_selected
from state.db.sql import dicts
from state.userdata.folders import cwd_key, tree_roots
from state.userdata.marks import TAG
from state.userdata.repositories import origin_place
from state.userdata.store import all_aliases

_TAGGED: Final = (
    f'SELECT thread_id, substr("key", {len(TAG) + 1}) FROM user_data'
    " WHERE \"key\" >= 'tag:' AND \"key\" < 'tag;' AND value IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What a user keeps out of the fleet."""

    folders: tuple[str, ...] = ()
    """Absolute, each with all that is below it."""
    remotes: tuple[str, ...] = ()
    """Origins of repositories in any spelling, or what they begin with; ``*`` stands for
    anything."""
    sources: tuple[str, ...] = ()
    """Kinds, as ``list --source`` takes them."""
    tags: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The form in which it is stored."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def parse(cls, text: str) -> "Exclusions":
        """What was stored; none if it cannot be read."""
        try:
            return cls(**{name: tuple(values) for name, values in json.loads(text).items()})
        except (ValueError, TypeError, AttributeError):
            return cls()

    def reason(self, row: Mapping[str, Any], tags: Collection[str]) -> str | None:
        """Why a thread is not pushed, as ``folder /w``; None if it is."""
        key = row["cwd_key"]
        for folder in self.folders:
            excluded = cwd_key(folder)
            if key == excluded or key.startswith(f"{excluded.rstrip('/')}/"):
                return f"folder {folder}"
        if self.remotes and row["git_origin_url"]:
            url = row["git_origin_url"]
            place = origin_place(url).lower() or url
            for remote in self.remotes:
                pattern = (origin_place(remote) or remote).lower().rstrip("/")
                if fnmatchcase(place, pattern) or fnmatchcase(place, f"{pattern}/*"):
                    return f"remote {remote}"
        if self.sources and row["source_kind"] in kinds_selected([*self.sources]):
            return f"source {row['source_kind']}"
        return next((f"tag {tag}" for tag in self.tags if tag in tags), None)


NOTHING: Final = Exclusions()


def with_former_folders(exclusions: Exclusions, connection: sqlite3.Connection) -> Exclusions:
    """The same, with the folders that were moved to excluded ones: threads are recorded in them."""
    if not exclusions.folders:
        return exclusions
    moved = {each.alias: each.value for each in all_aliases(connection) if each.value is not None}
    return replace(exclusions, folders=tuple(sorted(tree_roots(exclusions.folders, moved))))


def concerned(connection: sqlite3.Connection, before: Exclusions, now: Exclusions) -> Iterator[str]:
    """The threads that only one of two would leave out."""
    tags: defaultdict[str, set[str]] = defaultdict(set)
    for thread_id, tag in connection.execute(_TAGGED):
        tags[thread_id].add(tag)
    rows = connection.execute("SELECT id, cwd_key, git_origin_url, source_kind FROM threads")
    for row in dicts(rows):
        tagged = tags.get(row["id"], ())
        if (before.reason(row, tagged) is None) != (now.reason(row, tagged) is None):
            yield row["id"]
