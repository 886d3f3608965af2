"""The man page, made of the table of commands and of their options."""

from collections.abc import Iterator
from typing import Any, Final

from cli.help.layout import sections
from cli.help.table import ENTRIES, GROUPS, examples

_KEPT: Final = "\b"
"""Begins a paragraph whose lines are shown as they are."""


def man_page(root: Any, version: str) -> str:
    """The page in the language of ``man``, for the context of ``threadkeep`` itself."""
    return "".join(f"{line}\n" for line in _lines(root, version))


def _lines(root: Any, version: str) -> Iterator[str]:
    about = root.command.help
    yield f'.TH THREADKEEP 1 "" "threadkeep {_plain(version)}" "User commands"'
    yield from (".SH NAME", "threadkeep \\- list, search, read and manage Codex threads")
    yield from (".SH SYNOPSIS", ".B threadkeep", "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGS\\fR]")
    yield from (".SH DESCRIPTION", _plain(about))
    yield ".SH OPTIONS"
    yield from _rows(sections(root, root.command, set())["Options"])
    filters: dict[str, str] = {}
    for title, commands in GROUPS.items():
        yield f'.SH "{_plain(title.upper())}"'
        for name in commands:
            yield from _command(_context(root, name), name, filters)
    yield from (".SH FILTERS", "Threads must match all of them. Most can be repeated.")
    yield from _rows([*filters.items()])
    yield from (".SH SEE ALSO", _plain("threadkeep help lists topics; threadkeep help TOPIC shows"))
    yield _plain("the page of one, such as cli for all details of commands.")


def _context(root: Any, name: str) -> Any:
    """The context of a command, by its words."""
    context = root
    for word in name.split():
        command = context.command.commands[word]
        context = command.make_context(word, [], parent=context, resilient_parsing=True)
    return context


def _command(context: Any, name: str, filters: dict[str, str]) -> Iterator[str]:
    """The part about one command. Its filters are put into ``filters``."""
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield f'.SS "threadkeep {_plain(name)} {_plain(usage)}"'
    about, *more = (context.command.help or ENTRIES[name][0]).split("\n\n")
    yield _plain(about)
    for paragraph in more:
        if _KEPT in paragraph:
            lines = paragraph.replace(_KEPT, "").strip("\n").splitlines()
            yield from (".PP", ".nf", ".RS", *(_plain(line, kept=True) for line in lines))
            yield from (".RE", ".fi")
        else:
            yield from (".PP", _plain(paragraph))
    shared = context.command.shared_options()
    for title, rows in sections(context, context.command, shared).items():
        if title == "Filters":
            filters |= {key: text for key, text in rows if key not in filters}
            yield from (".PP", f"It takes the filters below: {_joined(rows)}")
        else:
            yield from _rows([row for row in rows if "--help" not in row[0]])
    yield from (".PP", "Examples:", ".PP", ".nf", ".RS")
    yield from (_plain(line) for line in examples(name))
    yield from (".RE", ".fi")


def _joined(rows: list[tuple[str, str]]) -> str:
    return _plain(", ".join(names.split()[0] for names, _ in rows) + ".")


def _rows(rows: list[tuple[str, str]]) -> Iterator[str]:
    for names, text in rows:
        yield from (".TP", f".B {_plain(names)}", _plain(text))


def _plain(text: str, *, kept: bool = False) -> str:
    """A text as ``man`` takes it, whatever its first letter is; with its blanks ``kept``."""
    line = text if kept else " ".join(text.split())
    line = line.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{line}" if line[:1] in (".", "'") else line
