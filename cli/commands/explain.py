"""``threadkeep explain``."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import errors
from cli.arguments.locations import Locations
from cli.arguments.options import JsonOption, locations
from cli.terminal import output
from cli.terminal.delegated import DELEGATED
from cli.terminal.style import painter

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex


def command(
    context: typer.Context,
    thread: Annotated[
        str | None,
        typer.Argument(
            metavar="THREAD",
            help="An id, a unique prefix of one (4 characters or more), a name or a path. Without"
            " it: what the picker shows in this folder, and why no more.",
            show_default=False,
        ),
    ] = None,
    cwd: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="The folder that Codex's picker opens in. [default: the current one]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Explain why a thread does or does not show up, here and in Codex's picker; without a thread,
    why the picker is empty or short in this folder."""
    from state.errors import InvalidFolder
    from state.userdata.folders import absolute_folder

    if cwd is not None and not cwd.strip():
        raise InvalidFolder("a folder is blank")
    here = locations(context)
    folder = absolute_folder(cwd) if cwd is not None else _current_folder()
    if thread is None:
        return _explain_folder(here, folder, "." if cwd is None else cwd, as_json)
    from cli.render.explanation import document, explained_lines
    from cli.runtime.open_index import read_index
    from state.explain.explain import explain

    found = read_index(
        here, lambda index: explain(index, thread, cwd=folder, sqlite_home=here.sqlite_home)
    )
    if as_json:
        output.data(document(found))
    else:
        output.lines(explained_lines(found, _width(), painter()))
    return errors.OK


def _explain_folder(here: Locations, folder: str | None, called: str, as_json: bool) -> int:
    from cli.render.explanation import folder_document, folder_lines
    from cli.render.labels import folder as shown
    from cli.runtime.open_index import catch_up_and_report, read_index
    from cli.terminal.hidden import empty_home
    from state.explain.folder import FolderExplanation, explain_folder

    async def work(index: "ThreadIndex") -> FolderExplanation:
        await catch_up_and_report(index)
        return await explain_folder(index, folder, sqlite_home=here.sqlite_home, here=called)

    found = read_index(here, work)
    if as_json:
        output.data(folder_document(found))
    else:
        name = shown(folder or "", os.path.expanduser("~"))
        output.lines(folder_lines(found, name, _width(), painter()))
    if not found.threads and not found.other_folders:
        output.say(empty_home(here.home))
    if (used := _home_of_codex()) != os.path.realpath(here.home):
        output.say(
            f"Codex itself uses another home here, {used}.\n"
            f"  To have it use this one: CODEX_HOME={shlex.quote(str(here.home))} codex resume"
        )
    return errors.OK


def _home_of_codex() -> str:
    client = DELEGATED.get()
    environment = os.environ if client is None else client.environment
    return os.path.realpath(environment.get("CODEX_HOME") or os.path.expanduser("~/.codex"))


def _width() -> int | None:
    return output.width() if output.on_terminal() else None


def _current_folder() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        output.say("The current folder has been removed, so threads of every folder count.")
        return None
