"""``threadkeep browse``."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli import errors
from cli.arguments.fleet import FleetOptions, takes_fleet
from cli.runtime.serving.seen import check_seen
from cli.terminal import output
from cli.terminal.text import filled, one_line

if TYPE_CHECKING:
    from cli.arguments.locations import Locations
    from cli.browse.picked import Picked
    from state.query.rows import Row

FIELDS: Final = ("id", "title", "cwd", "path", "model", "branch")
"""What ``--format`` may name."""


@takes_fleet
def command(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT...",
            help="What stands in the search box at first: words, and filters such as project:api.",
            show_default=False,
        ),
    ] = None,
    pick: Annotated[
        bool,
        typer.Option("--pick", help="Print the id of the thread that Enter picks, and leave."),
    ] = False,
    template: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="TEXT",
            help="What --pick prints: '{id} {title}', of {id}, {title}, {cwd}, {path}, {model} and"
            " {branch}; a line for each thread that is selected.",
        ),
    ] = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="Begin with the archived threads.")
    ] = False,
    *,
    fleet: FleetOptions,
) -> int:
    """Find threads as you type, read them, and continue them in Codex.

    \b
    Enter   reads the thread     Tab     this project or all
    Ctrl+R  resumes it           Ctrl+T  tags it
    Ctrl+F  forks it             Ctrl+A  archives it
    F1, ?   all keys, filters    Esc     goes back

    Of several words, threads have all in their title or messages. Filters:

    \b
    project:api  tag:later    since:7d     older:1y
    file:app.py  is:archived  model:gpt-5* -word

    More: threadkeep help browsing.
    """
    if template is not None:
        if not pick:
            raise typer.BadParameter("--format says what --pick prints\nadd --pick")
        _check(template)
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or os.environ.get("TERM") == "dumb":
        raise errors.WrongUsage(
            "browse needs a terminal",
            "elsewhere threadkeep list lists threads, and threadkeep search WORDS finds them",
        )
    from cli.browse.run import browse
    from cli.browse.words.own_keys import keys_file, own_keys

    own = own_keys(keys_file())
    here = fleet.locations(context)
    check_seen(here)
    typed = [*(["is:archived"] if archived else []), *map(_typed, words or [])]
    text = "".join(f"{word} " for word in typed)
    picked = browse(here, pick=pick, text=text, own_keys=own)
    if picked is None:
        return errors.NO_MATCH if pick else errors.OK
    if picked.action == "pick":
        rows = picked.rows or (picked.row,)
        output.lines(filled(template or "{id}", _values(row, here)) for row in rows)
        return errors.OK
    return _go_on(picked, here)


def _typed(word: str) -> str:
    """A word of a shell as it is typed into the search box: the value of a filter may have blanks
    in it, which the shell has taken the quotes of."""
    name, colon, value = word.partition(":")
    if not colon or not any(map(str.isspace, value)) or value[:1] in ("'", '"'):
        return word
    from cli.filter.language import NAMES
    from cli.filter.tokens import quoted

    known = name.removeprefix("-").lower() in NAMES
    return f"{name}:{quoted(value)}" if known else word


def _check(template: str) -> None:
    """Raises typer.BadParameter if it names a field that does not exist."""
    try:
        filled(template, dict.fromkeys(FIELDS, ""))
    except KeyError as error:
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise typer.BadParameter(
            f"--format: unknown field {error.args[0]}\nthe fields are {known}"
        ) from None


def _values(row: "Row", here: "Locations") -> dict[str, str]:
    """What the fields of ``--format`` are for a thread, each on one line."""
    from cli.render.labels import label

    values: dict[str, Any] = {
        "id": row["id"],
        "title": label(row),
        "cwd": row["cwd"],
        "path": row["rollout_path"] if "machine" in row else here.home / row["rollout_path"],
        "model": row["model"],
        "branch": row["git_branch"],
    }
    return {name: one_line(str(value or "")) for name, value in values.items()}


def _go_on(picked: "Picked", here: "Locations") -> int:
    """Continue the thread in Codex, in place of this process. Where that fails, the command is
    printed, and then why."""
    from cli.runtime.open_index import read_index
    from cli.runtime.resuming import become, codex_words, shell_command
    from state.errors import NotResumable

    id_ = picked.row["id"]
    details = read_index(here, lambda index: index.details(id_))
    folder = details["moved_to"] or picked.row["cwd"]
    words = codex_words(id_, fork=picked.action == "fork")
    try:
        if not sys.stdout.isatty():  # as in a shell function: Codex needs the terminal
            os.dup2(sys.stderr.fileno(), 1)
        become(words, folder)
    except NotResumable:
        output.line(shell_command(words, folder))
        raise
