"""The layout of help: sections of options, and examples at the end."""

from collections.abc import Iterable
from typing import Any, Final

from cli.help.pages import TASKS
from cli.help.table import ENTRIES, GROUPS, HELP, examples

_USUAL_LEAST: Final = (None, 0, 1)
"""Limits that are not worth a word."""
_HYPHEN: Final = "\N{NON-BREAKING HYPHEN}"
_PROMPT: Final = 2
"""Lines that a terminal needs for the command and for the next prompt."""
_END: Final = (
    "threadkeep COMMAND -h shows the options and examples of a command.",
    "threadkeep help lists pages: find, spending, space, picker, share, trouble …",
)
_BRIEF_END: Final = (
    "threadkeep COMMAND -h shows examples; threadkeep help lists more, and topics.",
)


def sections(context: Any, command: Any, shared: set[str]) -> dict[str, list[tuple[str, str]]]:
    """The arguments and options of a command by the titles of their sections. Options called
    ``shared`` are filters."""
    found: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Filters": []}
    for parameter in command.get_params(context):
        if (record := parameter.get_help_record(context)) is not None:
            kind = "Filters" if parameter.name in shared else "Options"
            found["Arguments" if parameter.param_type_name == "argument" else kind].append(record)
    return {title: rows for title, rows in found.items() if rows}


def write_sections(formatter: Any, context: Any, command: Any, shared: set[str]) -> None:
    """Write the arguments and options of a command."""
    for title, rows in sections(context, command, shared).items():
        with formatter.section(title):
            formatter.write_dl(rows)


def write_examples(formatter: Any, name: str) -> None:
    """Write the examples of a command, each on a line of its own."""
    if name in ENTRIES:
        with formatter.section("Examples"):
            for line in examples(name):
                formatter.write(f"  {line}\n")


def write_commands_of(formatter: Any, group: str, names: list[str]) -> None:
    """Write the commands below ``group``."""
    with formatter.section("Commands"):
        formatter.write_dl([(name, ENTRIES[f"{group} {name}"][0]) for name in names])


def top(context: Any) -> str:
    """The help of ``threadkeep`` itself. On a terminal that is too low for all of it, commands
    beyond the first group are only named, and the program is not described."""
    from cli.terminal import output

    whole = everything(context)
    low = output.on_terminal() and whole.count("\n") > output.height() - _PROMPT
    return _top(context, brief=True) if low else whole


def everything(context: Any) -> str:
    """The same with a line for each command, whatever the terminal."""
    return _top(context, brief=False)


def topic_list(context: Any, topics: dict[str, str]) -> str:
    """The topics of help, with their titles: what to do, then the reference."""
    formatter = context.make_formatter()
    width = max(map(len, HELP))
    for title, tasks in (("How to", True), ("Reference", False)):
        rows = [
            (name.ljust(width), text) for name, text in topics.items() if (name in TASKS) == tasks
        ]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)
    return str(formatter.getvalue().rstrip("\n"))


def _top(context: Any, brief: bool) -> str:
    formatter = context.make_formatter()
    command = context.command
    command.format_usage(context, formatter)
    if not brief:
        command.format_help_text(context, formatter)
    width = max(map(len, HELP))
    for position, (title, commands) in enumerate(GROUPS.items()):
        rows = [(name.ljust(width), HELP[name]) for name in commands if name in HELP]
        if position == 0 or not brief:
            with formatter.section(title):
                formatter.write_dl(rows)
            continue
        if position == 1:
            formatter.write("\n")
        names = _unbroken(name.strip() for name, _ in rows)
        formatter.write_dl([(f"{title}:".ljust(width + 2), names)])
    if brief:
        shown = [each for each in command.get_params(context) if each.name != "show_completion"]
        names = _unbroken(max(each.opts, key=len) for each in shown)
        formatter.write_dl([("Options:".ljust(width + 2), names)])
    else:
        write_sections(formatter, context, command, set())
    formatter.write("\n")
    for line in _BRIEF_END if brief else _END:
        formatter.write_text(line)
    return str(formatter.getvalue().rstrip("\n")).replace(_HYPHEN, "-")


def _unbroken(names: Iterable[str]) -> str:
    """Names with commas, of which none is divided where a line ends."""
    return ", ".join(names).replace("-", _HYPHEN)


def option_record(option: Any, value_name: str) -> tuple[str, str]:
    """An option as help shows it: its names and value, and what it does."""
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        names += f" / {', '.join(option.secondary_opts)}"
    if not option.is_flag:
        names += f" {value_name}"
    more = []
    if option.show_envvar and option.envvar:
        more.append(f"env: {option.envvar}")
    if isinstance(option.show_default, str):
        more.append(f"default: {option.show_default}")
    elif option.show_default and (default := _default(option)):
        more.append(f"default: {default}")
    if limits := _limits(option.min, option.max):
        more.append(limits)
    return names, " ".join(filter(None, [option.help, f"[{'; '.join(more)}]" if more else ""]))


def _default(option: Any) -> str:
    value = option.default
    if option.is_flag:
        names = option.opts if value else option.secondary_opts
        return names[0].lstrip("-") if option.secondary_opts else ""
    return "" if value is None or callable(value) else str(value)


def _limits(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f"{least:,} to {most:,}"
    if most is not None:
        return f"at most {most:,}"
    return f"at least {least:,}" if least not in _USUAL_LEAST else ""


def value_name(descriptor: Any) -> str:
    """What help calls the value of an option that has no name for it."""
    if descriptor.is_choice:
        return "|".join(map(str, descriptor.choices or ()))
    return "N" if descriptor.annotation in (int, float) else "TEXT"
