"""The values of options and arguments that completion offers."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from cli.completion.line import Line
from cli.completion.of_fleet import addresses, machines, users
from state.userdata.marks import STATUSES

if TYPE_CHECKING:
    from cli.arguments.locations import Locations
    from state.db.steps import Result, Steps

Candidate = tuple[str, str]
"""A value, and what it is. Where the value is empty, the other is ``file`` or ``dir``."""
FILES: Final = ("", "file")
FOLDERS: Final = ("", "dir")
_MOST: Final = 50
_TITLE: Final = 60
_TIMES: Final = (
    "today",
    "yesterday",
    "monday",
    "this-week",
    "last-week",
    "this-month",
    "last-month",
    "7d",
)
LEVELS: Final = ("error", "warn", "info", "debug", "off")
_LISTENS: Final = ("stdio://", "unix://", "ws://127.0.0.1:")
_ARCHIVED: Final = {"archive": 0, "resume": 0, "rename": 0, "fork": 0, "unarchive": 1}
"""Commands that take only threads in the archive (1), or none of it (0)."""


def values(line: Line, parameter: Any, current: str) -> Iterator[Candidate]:
    """What an option or argument may be, of what begins with ``current``."""
    name = max(parameter.opts, key=len) if parameter.param_type_name == "option" else ""
    metavar = parameter.metavar or ""
    if parameter.type_descriptor.is_choice:
        yield from _words(parameter.type_descriptor.choices, current)
    elif name in _VALUES:
        yield from _VALUES[name](line, current)
    elif "DELETE-ID" in metavar:
        yield from islice(_trashed(line, current), _MOST)
    elif metavar == "TAGS":
        yield from _with_commas((tag for tag, _ in _tags(line, "")), current)
    elif metavar == "STATUS":
        yield from _words((*STATUSES, "none"), current)
    elif "THREAD" in metavar:
        yield from _threads(line, current)
        if "MODE" in metavar and line.arguments:
            yield from _words(("enabled", "disabled"), current)
    elif metavar == "COMMAND|TOPIC":
        yield from _topics(line, current)
    elif metavar in ("FILE", "PATH"):
        yield FILES
    elif metavar in ("DIR", "OLD", "NEW"):
        yield FOLDERS


def _words(words: Iterable[Any], current: str) -> Iterator[Candidate]:
    return ((str(word), "") for word in words if str(word).startswith(current))


def _fixed(*words: str) -> "Callable[[Line, str], Iterator[Candidate]]":
    return lambda _, current: _words(words, current)


def _with_commas(words: Iterable[str], current: str) -> Iterator[Candidate]:
    front, comma, last = current.rpartition(",")
    taken = front.split(",")
    for word, _ in _words(words, last):
        if word not in taken:
            yield f"{front}{comma}{word}", ""


def _sources(_: Line, current: str) -> Iterator[Candidate]:
    from rollout.schema.session_source import SOURCE_KINDS

    return _words(SOURCE_KINDS, current)


def _sort_keys(line: Line, current: str) -> Iterator[Candidate]:
    from state.db.derived_columns import SORT_KEYS

    return _words((*SORT_KEYS, *(["matches"] if line.name == "search" else [])), current)


def _columns(line: Line, current: str) -> Iterator[Candidate]:
    from cli.render.threads import COLUMNS, OF_FLEET

    hidden = () if "fleet" in line.given else OF_FLEET
    return _with_commas((name for name in COLUMNS if name not in hidden), current)


def _dimensions(line: Line, current: str) -> Iterator[Candidate]:
    if line.name == "du":
        from cli.commands.du import DIMENSIONS as of_files

        return _words(of_files, current)
    from state.reports import DIMENSIONS, OF_FLEET

    return _words((*DIMENSIONS, *(OF_FLEET if "fleet" in line.given else ())), current)


def _formats(line: Line, current: str) -> Iterator[Candidate]:
    if line.name == "browse":
        from cli.commands.browse import FIELDS

        return _words((f"{{{name}}}" for name in FIELDS), current)
    if line.name != "export":
        return iter(())
    from cli.commands.export import KINDS

    return _words(KINDS, current)


def _topics(line: Line, current: str) -> Iterator[Candidate]:
    from cli.help.pages import topics
    from cli.help.table import ENTRIES, HELP

    if not line.arguments:
        every = {**HELP, **topics(), "man": "The man page."}
    else:
        front = f"{' '.join(line.arguments)} "
        every = {
            name.removeprefix(front): entry[0]
            for name, entry in ENTRIES.items()
            if name.startswith(front)
        }
    return ((name, about) for name, about in every.items() if name.startswith(current))


def _distinct(column: str) -> "Callable[[Line, str], Iterator[Candidate]]":
    """The values of a column of threads, the most recently used first."""

    def found(line: Line, current: str) -> Iterator[Candidate]:
        sql = (
            f"SELECT {column}, count(*) FROM v_threads WHERE substr({column}, 1, ?) = ?"
            f" GROUP BY {column} ORDER BY max(recency_at_ms) DESC LIMIT {_MOST}"
        )
        for value, count in _read(line, sql, [len(current), current]):
            if value.isprintable():
                yield value, f"{count:,} thread{'s' * (count != 1)}"

    return found


def _folders(line: Line, current: str) -> Iterator[Candidate]:
    """Folders that threads have; those of the disk where none begins so."""
    found = [*_distinct("cwd")(line, current)] if current[:1] in ("", "/") else []
    yield from found or [FOLDERS]


def _projects(line: Line, current: str) -> Iterator[Candidate]:
    """The names of projects, those used last first; folders where a path begins."""
    if current.startswith(("/", ".", "~")):
        yield FOLDERS
        return
    from state.query.projects import project_steps

    cwds = [cwd for cwd, _ in _distinct("cwd")(line, "")]
    names = dict.fromkeys((_steps(line, project_steps(cwds)) or {}).values())
    yield from _words(filter(None, names), current)


def _threads(line: Line, current: str, *, full: bool = False) -> Iterator[Candidate]:
    """Threads by the beginning of their ids, as short as they are unique, or by ``full`` ids; the
    newest first. With nothing typed those that ``list`` hides are left out."""
    from cli.terminal.text import age, shortened

    begin = current.lower()
    if set(begin) - {*"0123456789abcdef-"}:
        return
    conditions, parameters = ["id >= ?", "id < ?"], [begin, f"{begin}g"]
    if (archived := _ARCHIVED.get(line.name)) is not None:
        conditions.append(f"archived = {archived}")
    if not current:
        conditions.append("(hidden IS NULL OR hidden = 'archived')")
    sql = (
        "SELECT id, coalesce(nullif(name, ''), nullif(title, ''), preview), recency_at_ms,"
        " (SELECT max(id) FROM threads WHERE id < v.id),"
        " (SELECT min(id) FROM threads WHERE id > v.id)"
        f" FROM v_threads v WHERE {' AND '.join(conditions)}"
        f" ORDER BY archived, recency_at_ms DESC LIMIT {_MOST}"
    )
    now_ms = time.time_ns() // 1_000_000
    for id_, title, used_ms, *others in _read(line, sql, parameters):
        length = len(id_) if full else 8
        while any(other and other.startswith(id_[:length]) for other in others):
            length += 1
        value = id_[:length] if id_[:length].startswith(begin) else id_
        if not any(id_.startswith(word) for word in line.arguments):
            yield value, f"{age(used_ms, now_ms):>3}  {shortened(' '.join(title.split()), _TITLE)}"


def _trashed(line: Line, current: str) -> Iterator[Candidate]:
    """Threads in the trash, the last deleted first, each delete with its id before it."""
    from cli.terminal.text import age, plural
    from rollout.files.trash import folder_names, read_folder

    home, now_ms = _locations(line).home, time.time_ns() // 1_000_000
    for name in folder_names(home):
        folder = read_folder(home, name)
        ago = f"{age(folder.deleted_at_ms, now_ms):>3}"
        found = [(thread.thread_id, thread.record.title) for thread in folder.threads]
        for value, about in [(name, plural(len(found), "thread")), *found]:
            if found and value.startswith(current) and value not in line.arguments:
                yield value, f"{ago}  {about}"


def _tags(line: Line, current: str) -> Iterator[Candidate]:
    """The tags of threads, the most frequent first."""
    sql = (
        "SELECT tag, count(*) FROM v_tags WHERE substr(tag, 1, ?) = ?"
        f" GROUP BY tag ORDER BY 2 DESC, 1 LIMIT {_MOST}"
    )
    for tag, count in _read(line, sql, [len(current), current.lower()]):
        if tag.isprintable():
            yield tag, f"{count:,} thread{'s' * (count != 1)}"


def _full_ids(line: Line, current: str) -> Iterator[Candidate]:
    return _threads(line, current, full=True)


def _read(line: Line, sql: str, parameters: list[Any]) -> Iterable[Any]:
    """Rows of the index as it is."""
    from state.db.steps import select_steps

    return _steps(line, select_steps(sql, parameters)) or ()


def _steps(line: Line, steps: "Steps[Result]") -> "Result | None":
    """What ``steps`` give of the index as it is; None if there is none: no index is made or brought
    up to date for completion."""
    from contextlib import closing

    from state.db.connect import connect
    from state.db.steps import run_steps

    index = _locations(line).index
    if not index.exists():
        return None
    with closing(connect(index, "ro", wait_s=0.2)) as connection:
        return run_steps(steps, connection)


def _locations(line: Line) -> "Locations":
    """The home and the index of the command that is being typed."""
    import os

    from cli.arguments.locations import locations_of

    given = {name: (line.root or line.given).get(name, [None])[-1] for name in ("home", "database")}
    home = given["home"] or os.environ.get("CODEX_HOME") or None
    database = given["database"] or os.environ.get("THREADKEEP_DB") or None
    return locations_of(home, database)


_VALUES: Final[dict[str, "Callable[[Line, str], Iterator[Candidate]]"]] = {
    "--source": _sources,
    "--provider": _distinct("provider"),
    "--model": _distinct("model"),
    "--branch": _distinct("git_branch"),
    "--tag": _tags,
    "--status": _fixed(*STATUSES),
    "--cwd": _folders,
    "--project": _projects,
    "--exact-cwd": _folders,
    "--parent": _full_ids,
    "--ancestor": _full_ids,
    "--exclude": _full_ids,
    "--sort": _sort_keys,
    "--columns": _columns,
    "--fleet": addresses,
    "--machine": machines,
    "--user": users,
    "--by": _dimensions,
    "--format": _formats,
    "--since": _fixed(*_TIMES),
    "--until": _fixed(*_TIMES),
    "--older-than": _fixed("7d", "4w", "90d", "1y"),
    "--log-level": _fixed(*LEVELS),
    "--listen": _fixed(*_LISTENS),
}
"""What options take that are called so in whatever command."""
