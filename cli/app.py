"""The table of commands. A command's module is imported when it is called, and no other is."""

import errno
import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.exceptions import TyperException

from cli import __version__
from cli.arguments.command import Command, Group
from cli.arguments.locations import locations_of
from cli.arguments.options import DatabaseOption, HomeOption
from cli.help.table import HELP

if TYPE_CHECKING:
    from rollout.errors import RolloutError
    from state.errors import StateError


@cache
def _made(name: str) -> Any:
    """A command, made once in a process: Typer looks at all of its options for that."""
    declared = import_module(f"cli.commands.{name.replace('-', '_')}").command
    if isinstance(declared, typer.Typer):
        return typer.main.get_command(declared)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, cls=Command)(declared)
    return typer.main.get_command(single)


class _Commands(Mapping[str, Any]):
    """The commands by name, each imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        if name not in HELP:
            raise KeyError(name)
        return _made(name)

    def __contains__(self, name: object) -> bool:
        return name in HELP

    def __iter__(self) -> Iterator[str]:
        return iter(HELP)

    def __len__(self) -> int:
        return len(HELP)


class _Table(Group):
    """Lists the commands without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"commands": None})
        self.commands = _Commands()  # type: ignore[assignment]

    def list_commands(self, ctx: Any) -> list[str]:
        return [*HELP]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        streams = (sys.stdin, sys.stdout, sys.stderr)
        browses = not ctx.resilient_parsing and all(each.isatty() for each in streams)
        rest = super().parse_args(ctx, args or ["browse"] * browses)
        if browses and not ctx._protected_args:  # --home alone
            ctx._protected_args = ["browse"]
        return rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # which Typer would end without a word
            raise SystemExit(_interrupted()) from None

    def get_help(self, ctx: Any) -> str:
        from cli.help.layout import top

        return top(ctx)


app = typer.Typer(
    name="threadkeep",
    cls=_Table,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,  # ours knows ids, models and more: cli/completion
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="List, search, read and manage Codex threads. Your rollout files stay the source of"
    " truth; a disposable index makes it fast.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"threadkeep {__version__}")
        raise typer.Exit


def _install_completion(wanted: bool) -> None:
    if wanted:
        from cli.help.shells import current_shell, install
        from cli.terminal.output import say

        shell = current_shell()
        path, settings = install(shell)
        where = f"{path}, which {settings} reads" if settings else f"{path}"
        say(f"Completion for {shell} is in {where}. Start a new shell to use it.")
        raise typer.Exit


def _show_completion(wanted: bool) -> None:
    if wanted:
        from cli.help.shells import SCRIPTS, current_shell

        typer.echo(SCRIPTS[current_shell()], nl=False)
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    home: HomeOption = None,
    database: DatabaseOption = None,
    version: Annotated[
        bool,
        typer.Option("-V", "--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    install_completion: Annotated[
        bool,
        typer.Option(
            "--install-completion",
            callback=_install_completion,
            is_eager=True,
            help="Set up completion with Tab of commands, options, ids, models and more (bash, zsh"
            " or fish).",
        ),
    ] = False,
    show_completion: Annotated[
        bool,
        typer.Option(
            "--show-completion",
            callback=_show_completion,
            is_eager=True,
            help="Print the script for completion.",
        ),
    ] = False,
) -> None:
    """Set the locations that every command works on."""
    for option, value, what in (("--home", home, "folder"), ("--db", database, "file")):
        if value == "":
            raise typer.BadParameter(f"{option} is empty\nname a {what}: {option} PATH")
    context.obj = locations_of(home, database)


def main() -> None:
    """Run the command line; every error of ours becomes one line and its exit status."""
    from rollout.errors import RolloutError
    from state.errors import FileUnusable, OutOfResources, StateError

    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process
            # What is written to stdout fails, as it would be lost.
            wanted = os.O_RDONLY if name == "stdout" else os.O_WRONLY
            setattr(sys, name, open(os.open(os.devnull, wanted), "w"))  # noqa: SIM115
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):  # the locale may lack some characters
            stream.reconfigure(errors="replace")
    _limit_memory()
    status: int | None = None
    try:
        status = app(standalone_mode=False)
    except (RolloutError, StateError) as error:
        sys.exit(_report(error))
    except TyperException as error:
        from cli.help.usage import wrong_usage

        sys.exit(_report(wrong_usage(error)))
    except typer.Abort:  # the end of input, or Ctrl-C, where a question is asked
        print("Aborted.", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # a file that vanished, a disk that was removed
        from cli.terminal.output import flush

        flush()  # which ends here if it was about stdout
        reason = error.strerror or str(error)
        if error.filename is None or error.errno in (errno.EMFILE, errno.ENFILE):
            sys.exit(_report(OutOfResources(reason), error))
        sys.exit(_report(FileUnusable.of(error, Path(str(error.filename))), error))
    except MemoryError as error:
        sys.exit(_report(OutOfResources(os.strerror(errno.ENOMEM)), error))
    except (ImportError, RuntimeError) as error:
        if not any(text in str(error) for text in _NO_ROOM):
            raise
        sys.exit(_report(OutOfResources(str(error)), MemoryError()))
    except BaseException as error:
        # asyncio raises either of two on an interrupt. It is not imported here: quick commands
        # run without it.
        if not isinstance(error, KeyboardInterrupt) and type(error).__name__ != "CancelledError":
            raise
        status = _interrupted()
    sys.exit(status)


def _interrupted() -> int:
    from cli.errors import INTERRUPTED
    from cli.terminal import output

    output.say(output.interrupted)
    return INTERRUPTED


def _limit_memory() -> None:
    """Where address space is short (``ulimit -v``), let threads reserve little of it: otherwise
    each takes 8 MB for its stack, and 64 MB for what it allocates. What reports an error is loaded
    while there is room for it."""
    import resource

    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if allowed == resource.RLIM_INFINITY or allowed > _PLENTY_OF_MEMORY:
        return
    import ctypes
    import threading

    import cli.errors
    import cli.render.problem
    import cli.terminal.output  # noqa: F401

    threading.stack_size(_SMALL_STACK)
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENAS, 1)


_PLENTY_OF_MEMORY: Final = 2 * 2**30
_NO_ROOM: Final = ("can't start new thread", "failed to map segment")
"""For a thread, or for the library that a module is."""
_SMALL_STACK: Final = 2 * 2**20
_ARENAS: Final = -8  # M_ARENA_MAX


def _report(error: "RolloutError | StateError", cause: BaseException | None = None) -> int:
    """Print an error as JSON or as one line with a hint. Returns the exit status."""
    from cli.errors import document, outcome
    from cli.render.problem import problem
    from cli.terminal.output import data, say

    command = next((word for word in sys.argv[1:] if word in HELP), None)
    error.__cause__ = cause or error.__cause__
    if "--json" in sys.argv:
        data(document(error, command))
    else:
        say(problem(error, command), "error")
    return outcome(error, command).status
