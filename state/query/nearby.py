"""Where threads are, if a list has none: below or above its folder, in one that is gone, or with a
similar model, branch or tag."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from state.db.steps import Steps
from state.query.choices import similar_steps
from state.query.listing import count_steps, key_steps
from state.query.marks import tag_counts_steps
from state.query.model import LARGEST_PAGE, Counted, Query
from state.query.projects import similar_projects_steps
from state.query.rows import rows_steps
from state.userdata.folders import absolute_folder, clean_folder, is_windows, shown_folder

_MOST_GONE: Final = 2


@dataclass(slots=True)
class Nearby:
    """Where threads are that a list does not have."""

    folder: str = ""
    """The folder that has none, if one is named."""
    below: int = 0
    """How many threads are in the folders below it."""
    above: tuple[str, int] | None = None
    """The nearest folder above it that has threads in or below it, and how many."""
    gone: list[str] = field(default_factory=list)
    """Folders with threads that do not exist any more, and may be this one now."""
    similar: dict[str, list[str]] = field(default_factory=dict)
    """Models, branches, projects and tags of threads, under these words, that are like one that no
    thread has."""


def nearby_steps(
    query: Query,
    top: str,
    count: Callable[[Query], Steps[Counted]] = count_steps,
    *,
    on_disk: bool = True,
) -> Steps[Nearby]:
    """Where threads are, as ``query`` finds none. Folders above ``top``, and itself, say nothing;
    nor do those on this disk, if the threads are not ``on_disk``."""
    found = Nearby()
    for word, column, given in (
        ("models", "model", query.models),
        ("branches", "git_branch", query.branches),
    ):
        known = yield from similar_steps(column, given)
        if known:
            found.similar[word] = known
    if query.projects and (known := (yield from similar_projects_steps(query.projects))):
        found.similar["projects"] = known
    if query.tags and (tags := (yield from _similar_tags(query.tags))):
        found.similar["tags"] = tags
    named = query.folders or query.cwds
    if not named:
        return found
    folder = clean_folder(absolute_folder(named[0]))
    found.folder = shown_folder(folder)
    anywhere = replace(query, cwds=None, folders=(), projects=(), cursor=None)
    if query.cwds is not None:
        found.below = (yield from count(replace(anywhere, folders=(folder,)))).listed
    parent = os.path.dirname(folder)
    above = parent
    while above not in (top, os.path.dirname(above), "") and not is_windows(above):
        if listed := (yield from count(replace(anywhere, folders=(above,)))).listed:
            found.above = shown_folder(above), listed
            break
        above = os.path.dirname(above)
    if on_disk and os.path.isdir(folder):
        beside = replace(anywhere, folders=(parent,))
        named_so = replace(anywhere, projects=(os.path.basename(folder) or parent,))
        for others in (beside, named_so):
            keys = yield from key_steps(others, None, LARGEST_PAGE)
            rows = yield from rows_steps([id_ for _, id_, _ in keys])
            for cwd in dict.fromkeys(rows[id_]["cwd"] for _, id_, _ in keys if id_ in rows):
                if _may_be(cwd, folder) and shown_folder(cwd) not in found.gone:
                    found.gone.append(shown_folder(cwd))
    del found.gone[_MOST_GONE:]
    return found


def _similar_tags(given: Sequence[str]) -> Steps[list[str]]:
    """Tags that hold one of those that no thread has, or are held by it."""
    known = yield from tag_counts_steps()
    missing = [tag for tag in given if tag not in known]
    return [tag for tag in known if any(other in tag or tag in other for other in missing)]


def _may_be(cwd: str, folder: str) -> bool:
    """Whether ``folder`` may be where ``cwd`` has moved, which is gone: it has its name, or is
    beside it."""
    there, name = os.path.split(clean_folder(cwd))
    beside = there == os.path.dirname(folder) or name == os.path.basename(folder)
    return beside and os.path.isabs(cwd) and not os.path.exists(cwd)
