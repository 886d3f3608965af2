"""Commands joined together; ``main`` turns our errors into one line and an exit status.

Commands import what they need in their bodies: help and completion must stay quick.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli import __version__, changes, reads, upkeep
from cli.arguments.filters import Filters, takes_filters
from cli.arguments.locations import locations_of
from cli.arguments.options import (
    ArchivedOption,
    DatabaseOption,
    HomeOption,
    JsonOption,
    ThreadArgument,
    locations,
)
from cli.commands import db

if TYPE_CHECKING:
    from rollout.errors import RolloutError
    from state.errors import StateError

app = typer.Typer(
    name="threadkeep",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Keep, list and find Codex threads: the rollout files are the truth, an index beside"
    " them makes them fast.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"threadkeep {__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    home: HomeOption = None,
    database: DatabaseOption = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Set the locations that every command works on."""
    context.obj = locations_of(home, database)


@app.command("list")
@takes_filters
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many threads at most.")] = 25,
    all_pages: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    sort: Annotated[
        str,
        typer.Option(help="recency_at (when it was last used), updated_at or created_at."),
    ] = "recency_at",
    ascending: Annotated[bool, typer.Option("--asc", help="Oldest first.")] = False,
    cursor: Annotated[str | None, typer.Option(help="Go on where a page ended.")] = None,
    archived: ArchivedOption = False,
    *,
    filters: Filters,
    sync: Annotated[
        bool, typer.Option("--sync/--no-sync", help="Catch up with the files first.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """List threads, the one that was used last first. Exit status 1 if there are none."""
    from cli.commands import list as command

    query = filters.query(sort_key=sort, descending=not ascending, cursor=cursor, archived=archived)
    count = None if all_pages else limit
    status = command.run(locations(context), query, count, sync=sync, as_json=as_json)
    raise typer.Exit(status)


@app.command()
@takes_filters
def search(
    context: typer.Context,
    terms: Annotated[
        list[str],
        typer.Argument(
            metavar="TERM...",
            help='Words, beginnings of words (word*) and "phrases", all of which a thread must'
            " have.",
        ),
    ],
    literal: Annotated[
        bool, typer.Option("--literal", help="The terms are one text, inside words as well.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many threads at most.")] = 10,
    sort: Annotated[
        str, typer.Option(help="recency_at, updated_at, created_at, or matches: the most first.")
    ] = "recency_at",
    ascending: Annotated[bool, typer.Option("--asc", help="The other way round.")] = False,
    cursor: Annotated[str | None, typer.Option(help="Go on where a page ended.")] = None,
    archived: ArchivedOption = False,
    *,
    filters: Filters,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Read all rollouts, whole: output of tools and what was taken back, too."
        ),
    ] = False,
    sync: Annotated[
        bool, typer.Option("--sync/--no-sync", help="Catch up with the files first.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Find threads by what was said in them, and what they are called. Case and accents do not
    matter. Exit status 1 if there are none."""
    from cli.commands import search as command
    from rollout.search.terms import Term, terms_of
    from state.db.derived_columns import SORT_KEYS
    from state.errors import InvalidQuery
    from state.fulltext.search import MATCHES, Search

    text = " ".join(terms)
    term = Term.of(text)
    wanted = ((term,) if term else ()) if literal else tuple(terms_of(text))
    ranked = sort == MATCHES
    if not ranked and sort not in SORT_KEYS:
        keys = ", ".join((*SORT_KEYS, MATCHES))
        raise InvalidQuery(f"unknown sort key {sort!r}: use one of {keys}")
    among = filters.query(
        sort_key="recency_at" if ranked else sort,
        descending=not ascending,
        cursor=cursor,
        archived=archived,
    )
    found = Search(wanted, among, ranked, most_hits=command.HITS_KEPT)
    run = command.run_raw if raw else command.run
    status = run(locations(context), found, limit, sync=sync, as_json=as_json)
    raise typer.Exit(status)


@app.command()
def explain(
    context: typer.Context,
    thread: ThreadArgument,
    cwd: Annotated[
        Path | None,
        typer.Option(
            help="The folder that Codex's picker is opened in. [default: the current one]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell why a thread is listed or not, here and in Codex's picker."""
    from cli.commands import explain as command

    raise typer.Exit(command.run(locations(context), thread, cwd, as_json=as_json))


@app.command()
def resume(
    context: typer.Context,
    thread: ThreadArgument,
    execute: Annotated[bool, typer.Option("--exec", help="Do it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the command that goes on with a thread in Codex, in its folder; --exec runs it."""
    from cli.commands import resume as command

    if execute and as_json:
        raise typer.BadParameter("--exec and --json exclude each other")
    raise typer.Exit(command.run(locations(context), thread, execute=execute, as_json=as_json))


@app.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="One statement that reads; - takes it from stdin.")],
    sync: Annotated[
        bool, typer.Option("--sync/--no-sync", help="Catch up with the files first.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Ask the index in SQL, read-only. docs/schema.md describes its views."""
    from cli.commands import query as command

    raise typer.Exit(command.run(locations(context), sql, sync=sync, as_json=as_json))


for group in (reads.app, changes.app, upkeep.app, db.app):
    app.add_typer(group)


def main() -> None:
    """Run the command line; every error of ours becomes one line and its exit status."""
    from rollout.errors import RolloutError
    from state.errors import FileUnusable, OutOfResources, StateError

    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):  # a locale without the letters costs no table
            stream.reconfigure(errors="replace")
    _spare_memory()
    try:
        app()
    except (RolloutError, StateError) as error:
        sys.exit(_tell(error))
    except OSError as error:  # a file that vanished under us, a disk that went away
        reason = error.strerror or str(error)
        if error.filename is None or error.errno in (errno.EMFILE, errno.ENFILE):
            sys.exit(_tell(OutOfResources(reason)))
        sys.exit(_tell(FileUnusable(Path(str(error.filename)), reason)))
    except MemoryError:
        sys.exit(_tell(OutOfResources(os.strerror(errno.ENOMEM))))
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        sys.exit(_tell(OutOfResources(str(error))))
    except BaseException as error:
        # asyncio gives an interrupt as the one or, now and then, as the other; it is not imported
        # here, where the quick path goes without it.
        if not isinstance(error, KeyboardInterrupt) and type(error).__name__ != "CancelledError":
            raise
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def _spare_memory() -> None:
    """Where little address space is allowed (``ulimit -v``), have threads reserve little of it:
    else each takes 8 MB for its stack, and 64 MB for what it allocates."""
    import resource

    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if allowed == resource.RLIM_INFINITY or allowed > _MUCH_MEMORY:
        return
    import ctypes
    import threading

    threading.stack_size(_SMALL_STACK)
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENAS, 1)


_MUCH_MEMORY: Final = 2 * 2**30
_SMALL_STACK: Final = 2 * 2**20
_ARENAS: Final = -8  # M_ARENA_MAX


def _tell(error: "RolloutError | StateError") -> int:
    from cli.errors import document, outcome
    from cli.terminal.output import data, say
    from cli.terminal.text import one_line

    found = outcome(error)
    if "--json" in sys.argv:
        data(document(error))
    else:
        say(f"threadkeep: {one_line(str(error))}\n  {found.hint}", "error")
    return found.status
