"""What wrong usage says: what is wrong, and what to type next."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from cli.errors import WrongUsage
from cli.help import guesses
from cli.help.pages import topics
from cli.help.table import ENTRIES

_EXTRA: Final = "Got unexpected extra argument(s) ("
_OTHERS: Final = 4
"""How many commands a hint names."""


def unknown_command(group: str, word: str, names: Iterable[str]) -> WrongUsage:
    """``word`` is none of the commands ``names``, which are those below ``group``, or all."""
    found = "" if group else guesses.COMMANDS.get(word, "")
    found = found or similar(word, names)
    shows = f"{' '.join(filter(None, ('threadkeep', group)))} -h lists the commands"
    what = f"{group} has no command" if group else "there is no command"
    if not group and word in topics():
        shows = f"threadkeep help {word} shows a page about that; {shows}"
    return WrongUsage(f"{what} {word!r}", f"did you mean {found}? {shows}" if found else shows)


def similar(word: str, names: Iterable[str], front: str = "") -> str:
    """The names that ``word`` may be a misspelling or a beginning of, as in ``did you mean …?``,
    each with ``front`` before it."""
    known = [*names]
    close = get_close_matches(word, known, 3, 0.65)
    begun = [name for name in known if len(word) > 1 and name.startswith(word)]
    return " or ".join([front + name for name in dict.fromkeys([*close, *begun])][:3])


def wrong_usage(error: Any) -> WrongUsage:
    """An error of Typer's as one of ours. A line break in its message divides what is wrong from
    what to do; by default that is to read the help."""
    context = error.ctx
    name = name_of(context)
    called = name or "threadkeep"
    shows = f"{'threadkeep ' if name else ''}{called} -h shows what it takes"
    kind, message = type(error).__name__, str(error.message)
    if kind == "NoSuchOption":
        return _unknown_option(context, called, error.option_name, shows)
    if kind == "MissingParameter":
        return WrongUsage(f"{called} needs {_named(error.param)}", _example(name) or shows)
    if kind == "BadOptionUsage":
        wants = "needs a" if "requires" in message else "takes no"
        return WrongUsage(f"{error.option_name} {wants} value", shows)
    if message.startswith(_EXTRA):
        extra = message.removeprefix(_EXTRA).removesuffix(")")
        hint = guesses.instead(name, extra, [*context.find_root().command.commands])
        return WrongUsage(f"{called} does not take {extra!r}", hint or shows)
    if message == "Missing command.":
        return WrongUsage("there is no command", "threadkeep -h lists the commands")
    where = getattr(error, "param_hint", None)
    if where is None and getattr(error, "param", None) is not None:
        where = _named(error.param)
    what, _, hint = message.removesuffix(".").partition("\n")
    return WrongUsage(f"{where}: {what}" if where else what, hint or shows)


def name_of(context: Any) -> str:
    """The words of a command after ``threadkeep``; empty for that itself."""
    if context is None or context.parent is None:
        return ""
    return f"{name_of(context.parent)} {context.info_name}".lstrip()


def _named(parameter: Any) -> str:
    """What a parameter is called: the long form of an option, or the word of an argument."""
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.display_name_raw)


def _example(name: str) -> str:
    examples = ENTRIES.get(name, ())[1:2]
    return f"for example: {examples[0]}" if examples else ""


def _unknown_option(context: Any, called: str, option: str, shows: str) -> WrongUsage:
    wrong = f"{called} has no option {option}"
    if context is None:
        return WrongUsage(wrong, shows)
    root = context.find_root().command
    before = next((each for each in root.params if option in _options([each])), None)
    if context.command is not root and before:
        value = "" if before.is_flag else f" {before.metavar}"
        return WrongUsage(wrong, f"it goes before the command: threadkeep {option}{value} {called}")
    own = [name[2:] for name in _options(context.command.params) if name.startswith("--")]
    found = guesses.option(option, [f"--{name}" for name in own])
    if found or (option.startswith("--") and (found := similar(option[2:], own, "--"))):
        return WrongUsage(wrong, f"did you mean {found}? {shows}")
    others = [name for name, command in root.commands.items() if option in _options(command.params)]
    if not others:
        return WrongUsage(wrong, shows)
    more = ", …" if len(others) > _OTHERS else ""
    have = "has" if len(others) == 1 else "have"
    return WrongUsage(wrong, f"{', '.join(others[:_OTHERS])}{more} {have} it; {shows}")


def _options(parameters: Iterable[Any]) -> list[str]:
    return [
        name
        for parameter in parameters
        if parameter.param_type_name == "option" and not parameter.hidden
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("-")
    ]
