"""Projects: all folders of one repository, its clones and worktrees, wherever they are or were.

What a folder belongs to follows from the origin that its newest thread with one has, else from the
repository that it is in on disk, else it is the folder itself. Nothing of that is stored: the index
has the origins with the threads, and the disk is asked each time.
"""

import itertools
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from state.db.steps import (
    MalformedRow,
    Steps,
    different_steps,
    has_indexes_steps,
    is_local_steps,
)
from state.errors import InvalidQuery
from state.userdata.folders import (
    ALIASES_SQL,
    absolute_folder,
    clean_folder,
    cwd_key,
    is_below,
    is_windows,
    moved_to,
    shown_folder,
    spellings,
)
from state.userdata.repositories import Disk, NoDisk, origin_place

INDEX: Final = "ix_threads_cwd_git_origin_url"
HAS_ORIGIN: Final = "git_origin_url != ''"
"""The condition of that index."""
_NEWEST: Final = (
    f"FROM threads WHERE cwd_key = f.value AND {HAS_ORIGIN}"
    " ORDER BY created_at_ms DESC, git_origin_url DESC LIMIT 1"
)
ORIGINS: Final = (
    f"SELECT f.value, (SELECT created_at_ms {_NEWEST}), (SELECT git_origin_url {_NEWEST})"
    " FROM json_each(?) f"
)
"""The newest origin of each of these folders, and when its newest thread was created."""
_DISTINCT: Final = "SELECT DISTINCT cwd_key FROM threads"
_GROUPED: Final = (
    "SELECT cwd_key, max(created_at_ms), git_origin_url FROM threads"
    f" WHERE {HAS_ORIGIN} GROUP BY cwd_key, git_origin_url"
)
"""The same while a first fill has no indexes yet."""
_SPELLED: Final = (
    "SELECT f.value, (SELECT cwd FROM threads WHERE row_id = (SELECT row_id FROM threads"
    " WHERE cwd_key = f.value ORDER BY facet DESC, recency_at_ms DESC, id DESC LIMIT 1))"
    " FROM json_each(?) f"
)

FOLDERS_CALLED: Final = (
    "WITH RECURSIVE hops(v) AS (SELECT min(cwd_key) FROM threads UNION ALL"
    " SELECT (SELECT min(cwd_key) FROM threads WHERE cwd_key > hops.v) FROM hops"
    " WHERE hops.v IS NOT NULL) SELECT v FROM hops WHERE v IS NOT NULL AND ? <> ''"
)
"""All folders; in a fleet, which has very many, those in whose path, or in an origin of whose
threads, one of these words is, in lower case: no more than one over :data:`MOST_CALLED`, and one
that has several origins may be among them more than once."""
FOLDERS_LIKE: Final = FOLDERS_CALLED.replace("AND ?", "AND '' || ?")
"""The same of those that match one of these patterns of LIKE, or whose origins do."""
MOST_CALLED: Final = 20_000
"""So many folders and origins of a fleet are looked at for one name. A first page of more would
take longer than a second."""
_TOO_MANY: Final = (
    "too many folders of this fleet have {} in their path or origin to tell which ones are of that"
    " project: name a machine as well, or a folder in its place"
)
Origin = tuple[int, str]
"""When the thread was created that has it, and the address."""


class Project(NamedTuple):
    """The project of a folder."""

    name: str
    chosen_by: str
    """What chooses it in :attr:`state.query.model.Query.projects`."""


def project_steps(cwds: Iterable[str]) -> Steps[dict[str, str]]:
    """The name of the project of each folder."""
    projects = yield from projects_steps()
    return {cwd: projects.name(cwd_key(cwd)) for cwd in cwds}


def folder_projects_steps() -> Steps[dict[str, str]]:
    """The names of the projects of all folders in the index, by the keys of these."""
    projects = yield from projects_steps()
    return {key: projects.name(key) for key in projects.folders}


def project_of_folder_steps(folder: str) -> Steps[Project]:
    """The project of a folder, which may have no threads yet. Raises InvalidFolder if it is
    relative, and the current folder has been removed."""
    projects = yield from projects_steps()
    return Project(projects.name(projects.known(folder)), absolute_folder(folder))


def similar_projects_steps(given: Sequence[str]) -> Steps[list[str]]:
    """The names of projects that hold one of the ``given`` texts, if these choose no thread."""
    projects = yield from projects_steps(given, similar=True)
    texts = [text.lower() for text in given if len(text) > 2 and not is_path(text)]
    names = {projects.name(key) for key in projects.folders} if texts else set()
    short = {
        name: os.path.basename(name).lower() if is_path(name) else name.lower() for name in names
    }
    similar = sorted(name for name in names if any(text in short[name] for text in texts))
    return [] if similar and projects.chosen(given) else similar


def projects_steps(names: Sequence[str] = (), *, similar: bool = False) -> Steps["Projects"]:
    """The projects of all folders in the index; for ``names`` those that they may choose are
    enough, or with ``similar`` those that are called alike, none if they are too many. Raises
    InvalidQuery if so many folders of a fleet have one of ``names`` that none are looked at."""
    aliases = dict((yield ALIASES_SQL, []))
    on_disk = yield from is_local_steps()
    indexed = yield from has_indexes_steps("ix_threads_cwd_recency_at", INDEX)
    if indexed and names and (not on_disk or not any(map(is_path, names))):
        if similar:
            patterns = sorted({*map(_like, names)})
            folders = [key for (key,) in (yield FOLDERS_LIKE, [json.dumps(patterns)])]
        else:
            folders = yield from _called_steps(names)
        if len(folders) > MOST_CALLED and not on_disk:
            if not similar:
                raise InvalidQuery(_TOO_MANY.format(" or ".join(names)))
            folders = []
    elif indexed:
        folders = yield from different_steps("cwd_key")
    else:
        folders = [key for (key,) in (yield _DISTINCT, [])]
    if not all(type(key) is str for key in folders):
        raise MalformedRow("a row of threads")
    newest: dict[str, Origin | None] = dict.fromkeys(folders)
    origins = yield (ORIGINS, [json.dumps([*newest])]) if indexed else (_GROUPED, [])
    for key, created_ms, url in origins:
        if url is None:
            continue
        if type(created_ms) is not int or type(url) is not str:
            raise MalformedRow("a row of threads")
        newest[key] = max(newest[key] or (created_ms, url), (created_ms, url))
    several = [key for key in newest if is_windows(key)]
    spelled = dict((yield _SPELLED, [json.dumps(several)])) if several else {}
    return Projects(newest, aliases, spelled, on_disk=on_disk)


def _called_steps(names: Sequence[str]) -> Steps[list[str]]:
    """The folders that ``names`` may choose. Of a path they are those below it, and those whose
    path or origin has the name of its repository."""
    called = [name for name in names if not is_path(name)]
    paths = filter(is_path, names)
    roots = sorted({cwd_key(each) for path in paths for each in spellings(path)})
    folders: list[str] = []
    if roots:
        called += [origin_place(url) for _, _, url in (yield ORIGINS, [json.dumps(roots)]) if url]
        for root in roots:
            for begin, end in (
                (root, f"{root}\0"),
                (f"{root.rstrip('/')}/", f"{root.rstrip('/')}0"),
            ):
                folders += yield from different_steps("cwd_key", begin, end, MOST_CALLED + 1)
    words = sorted({*itertools.chain(*map(_words, filter(None, called)))})
    if words:
        folders += [key for (key,) in (yield FOLDERS_CALLED, [json.dumps(words)])]
    return folders


class Projects:
    """Which folder belongs to which project, by the keys of folders."""

    def __init__(
        self,
        newest: Mapping[str, Origin | None],
        aliases: Mapping[str, str] | None = None,
        spelled: Mapping[str, str] | None = None,
        *,
        on_disk: bool = True,
    ) -> None:
        """``newest`` has all folders with their newest origins, and ``spelled`` Windows folders as
        they are recorded. If they are not ``on_disk`` here, only origins tell their projects."""
        self.folders = newest.keys()
        """The keys of all folders."""
        self._aliases = dict(aliases or {})
        self._moved: dict[str, str] = {}
        self._disk = Disk() if on_disk else NoDisk()
        self._origins: dict[str, Origin] = {}
        self._spelled = {key: shown_folder(cwd) for key, cwd in (spelled or {}).items()}
        """How people know places that are kept in lower case."""
        for key, origin in newest.items():
            if origin is not None and key:  # threads without a folder have nothing in common
                now = self._now(key)
                self._origins[now] = max(self._origins.get(now, origin), origin)
        for origin in sorted(self._origins.values()):
            if place := origin_place(origin[1]):
                self._spelled[place.casefold()] = place
        self._places: dict[str, str] = {}
        self._names: dict[str, str] | None = None

    def place(self, key: str) -> str:
        """What identifies the project of a folder."""
        if key not in self._places:
            self._places[key] = self._find(self._now(key))
        return self._places[key]

    def name(self, key: str) -> str:
        """The name of a folder's project, which no other project in the index has."""
        if self._names is None:
            self._names = self._named({self.place(each) for each in self.folders})
        place = self.place(key)
        if place not in self._names:
            taken = {*self._names.values()}
            short = self._endings(place)
            self._names[place] = next((each for each in short if each not in taken), short[-1])
        return self._names[place]

    def known(self, folder: str) -> str:
        """The key of a folder as given by a user: of the spelling that threads have, if any has."""
        keys = [cwd_key(each) for each in spellings(folder)]
        return next((key for key in keys if key in self.folders), keys[0])

    def chosen(self, names: Sequence[str]) -> list[str]:
        """The keys of all folders that one of ``names`` chooses: those of a project of this name,
        or of the project of this folder if it is a path, and those that are called so themselves
        or are below such a folder."""
        paths = [name for name in names if is_path(name)]
        called = [name.strip("/") for name in names if not is_path(name)]
        roots = {self.known(path) for path in paths}
        places = {self.place(root) for root in roots}
        plain = [root for root in roots if self._is_plain(root)]
        return sorted(
            key
            for key in self.folders
            if self.place(key) in places
            or any(_is_in(each, name) for each in {key, self._now(key)} for name in called)
            or any(self._is_called(self.place(key), name) for name in called)
            or any(is_below(each, root) for root in plain for each in (key, self._now(key)))
        )

    def _now(self, key: str) -> str:
        """Where a folder is now."""
        if not self._aliases:
            return key
        if key not in self._moved:
            self._moved[key] = cwd_key(moved_to(key, self._aliases))
        return self._moved[key]

    def _find(self, folder: str) -> str:
        """The place that a folder belongs to: by its origin, or by the repository on disk."""
        if place := self._origin_place(folder):
            return self._followed(place)
        found = self._disk.repository(folder)
        if found is None:
            return folder
        main = self._now(cwd_key(found.folder))
        known = main in self._origins
        return self._followed((not known and origin_place(self._disk.origin(found))) or main)

    def _followed(self, place: str) -> str:
        """Where the origin leads that the repository at a place has, if that is a folder."""
        passed: list[str] = []
        while is_path(place):
            folder = self._now(cwd_key(place))
            if folder in passed:  # two that are each other's origin
                return min(passed[passed.index(folder) :])
            passed.append(folder)
            place = self._origin_place(folder)
            if not place and (found := self._disk.repository_at(folder)):
                place = origin_place(self._disk.origin(found))
            if not place:
                return folder
        key = place.casefold()  # hosts of repositories do not tell letters apart by their case
        self._spelled.setdefault(key, place)
        return key

    def _origin_place(self, folder: str) -> str:
        """The place that the newest origin of a folder names; empty without one."""
        origin = self._origins.get(folder)
        return origin_place(origin[1]) if origin else ""

    def _named(self, places: Iterable[str]) -> dict[str, str]:
        """Places with the shortest of their names that tells them apart."""
        names: dict[str, str] = {}
        waiting = {place: self._endings(place) for place in sorted(places)}
        while waiting:
            same = defaultdict(list)
            for place, endings in waiting.items():
                same[endings[0]].append(place)
            for name, those in same.items():
                for place in those:
                    if len(those) == 1 or len(waiting[place]) == 1:
                        names[place] = name
                        del waiting[place]
                    else:
                        del waiting[place][0]
        return names

    def _endings(self, place: str) -> list[str]:
        """What a project may be called: its last name, the last two of an address, and so on; the
        whole path of a folder."""
        shown = self._spelled.get(place, place)
        parts = shown.replace("\\", "/").rstrip("/").split("/")
        if is_path(place) or len(parts) == 1:
            return [parts[-1], shown] if parts[-1] not in ("", shown) else [shown]
        return ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]

    def _is_plain(self, key: str) -> bool:
        """Whether a folder belongs to no repository."""
        now = self._now(key)
        return self.place(key) == now and self._disk.repository(now) is None

    def _is_called(self, place: str, name: str) -> bool:
        return f"/{self._spelled.get(place, place)}".endswith(f"/{name}")


def _words(name: str) -> tuple[str, str]:
    """The last part of a name in lower case: of ASCII alone, as PostgreSQL makes it, and of all
    letters, as the keys of Windows folders are."""
    last = name.strip("/").rpartition("/")[2]
    ascii_lower = re.sub("[A-Z]+", lambda found: found[0].lower(), last)
    return ascii_lower, re.sub("[A-Z]+", lambda found: found[0].lower(), last.lower())


def _like(name: str) -> str:
    """A pattern for the last part of a name, in lower case. Letters that are not of ASCII match
    anything: what they are in lower case is not the same everywhere."""
    last = name.strip("/").rpartition("/")[2]
    escaped = re.sub(r"[\\%_]", r"\\\g<0>", last)
    return f"%{re.sub('[^ -~]+', '%', escaped).lower()}%"


def _is_in(key: str, name: str) -> bool:
    """Whether a folder, or one above it, has this name."""
    return f"/{name.lower() if is_windows(key) else name}/" in f"/{key}/"


def is_path(text: str) -> bool:
    """Whether a text is a folder from the root, not a name."""
    return text.startswith("/") or is_windows(clean_folder(text))
