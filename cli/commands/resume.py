"""``threadkeep resume``."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli import errors
from cli.arguments.options import JsonOption, locations
from cli.terminal import output
from cli.terminal.hidden import elsewhere
from cli.terminal.text import one_line, plural
from state.errors import AmbiguousThread, ThreadArchived, ThreadNotFound

if TYPE_CHECKING:
    from state.query.model import Query
    from state.query.nearby import Nearby
    from state.query.rows import Row
    from state.thread_index import ThreadIndex

_MOST: Final = 100
"""So many threads are looked at that may be meant."""


def command(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="THREAD|WORD...",
            help="A thread as for show (- reads an id from stdin), or words of its name, title or"
            " messages. Without any, the threads of this folder.",
            show_default=False,
        ),
    ] = None,
    last: Annotated[
        bool,
        typer.Option("--last", help="The last used thread of this folder, or of one below it."),
    ] = False,
    everywhere: Annotated[bool, typer.Option("-a", "--all", help="Look in every folder.")] = False,
    cwd: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Look in this folder and those below it. [default: for words every folder, else"
            " the current one]",
            show_default=False,
        ),
    ] = None,
    execute: Annotated[bool, typer.Option("--exec", help="Run it.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Print the command that resumes a thread in Codex, in the thread's folder (--exec runs it)."""
    from cli.edit.batch import named
    from cli.runtime.open_index import catch_up_until, read_index
    from cli.runtime.waiting import for_rows, for_thread
    from state.query.model import Query
    from state.query.nearby import nearby_steps

    if execute and as_json:
        raise typer.BadParameter("--exec and --json cannot be combined")
    if last and words:
        raise typer.BadParameter("--last takes no words\nleave them out, or leave --last out")
    if cwd is not None and (everywhere or not cwd.strip()):
        raise typer.BadParameter("--cwd needs a folder, and cannot be combined with --all")
    from_stdin = words == ["-"]
    text = " ".join((named(["-"]) or [""])[:1] if from_stdin else words or [])
    if from_stdin and not text:
        output.say("No thread is named on stdin.")
        return errors.NO_MATCH
    anywhere = cwd is None and (everywhere or bool(text))
    query = Query(
        sort_key="recency_at",
        limit=1 if last else _MOST,
        folders=() if anywhere else (cwd or ".",),
    )

    async def work(index: "ThreadIndex") -> "tuple[list[Row], dict[str, str], Nearby | None]":
        await catch_up_until(
            index, for_thread(index, text) if text else for_rows(index, query) if last else None
        )
        rows = await _meant(index, text, query) if text else (await index.page(query)).rows
        ids = await index.short_ids([row["id"] for row in rows])
        steps = nearby_steps(query, os.path.expanduser("~"))
        return rows, ids, None if rows else await index.database.query(steps)

    here = locations(context)
    rows, short_ids, nearby = read_index(here, work)
    if not rows:
        more = "" if everywhere else "\n  --all looks in every folder."
        output.say(f"No threads match.{elsewhere(nearby)}{more}")
        return errors.NO_MATCH
    if not text and len(rows) > 1 and not _can_ask(as_json):
        raise typer.BadParameter("resume needs a thread\n--last is the one that was used last here")
    row = rows[0] if len(rows) == 1 else _asked(text, rows, short_ids, as_json=as_json)
    if row["archived"]:
        raise ThreadArchived(row["id"])
    details = read_index(here, lambda index: index.details(row["id"]))
    return _resume(row["id"], details["moved_to"] or row["cwd"], execute=execute, as_json=as_json)


def _can_ask(as_json: bool) -> bool:
    return not as_json and sys.stdin.isatty() and sys.stderr.isatty()


async def _meant(index: "ThreadIndex", text: str, query: "Query") -> "list[Row]":
    """The threads that ``text`` may mean: as their id, name or path, or else by words that they
    have; those that have them in their name or title come first. Raises ThreadNotFound if there
    are none."""
    try:
        return [await index.thread(text)]
    except AmbiguousThread as error:
        return [*error.rows]
    except ThreadNotFound as error:
        from cli.runtime.open_index import catch_up_fulltext
        from rollout.search.terms import terms_of
        from state.fulltext.search import Search, search

        terms = tuple(terms_of(text))
        if type(error) is not ThreadNotFound or not terms:
            raise
        if note := await catch_up_fulltext(index):
            output.say(note)
        hits = (await search(index, Search(terms, query))).hits
        if not hits:
            raise
        return [hit.row for hit in sorted(hits, key=lambda hit: not hit.header)]


def _asked(text: str, rows: "list[Row]", short_ids: dict[str, str], *, as_json: bool) -> "Row":
    """The one of ``rows`` that the user names. Raises AmbiguousThread if nobody can be asked."""
    from cli.render.problem import MOST_CANDIDATES, candidate_lines

    if not _can_ask(as_json):
        raise AmbiguousThread(text, [row["id"] for row in rows], rows, short_ids)
    count = min(len(rows), MOST_CANDIDATES)
    width = len(str(count)) + 2
    for number, line in enumerate(candidate_lines(rows, short_ids, width)):
        output.say(f"{number or ''!s:<{width}}{line}")
    if len(rows) > count:
        output.say(f"There are {plural(len(rows) - count, 'other')}: add words to narrow it down.")
    while True:
        answer = typer.prompt(f"Which one (1-{count})?", prompt_suffix=" ", err=True)
        if answer.isdecimal() and 1 <= int(answer) <= count:
            return rows[int(answer) - 1]


def _resume(thread_id: str, folder: str, *, execute: bool, as_json: bool) -> int:
    """Print the command that continues a thread, or run it."""
    from cli.runtime.resuming import become, can_be_entered, codex_words, shell_command

    words = codex_words(thread_id)
    if execute:
        become(words, folder)
    exists = can_be_entered(folder)
    shell = shell_command(words, folder)
    if as_json:
        fields = {"id": thread_id, "cwd": folder or None, "command": words}
        output.data({"version": 1, **fields, "shell": shell, "cwdExists": exists})
    else:
        output.line(shell)
        if folder and not exists:
            output.say(
                f"{one_line(folder)} cannot be entered, so Codex asks which folder to use."
                " If it has moved, record that with threadkeep relink OLD NEW."
            )
    return errors.OK
