"""How commands are built: as Typer's, with an exit status, our own help, and without loading
pydantic.

Since 0.29 Typer converts every value with a pydantic adapter, texts that stay as they are too.
Loading pydantic takes longer than all else a short command does. So values that need no conversion
skip the adapter, and so do numbers, whose errors are clearer here; all others go through it.
"""

from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.exceptions import TyperException


def _process_value(self: Any, ctx: Any, value: Any) -> Any:
    kind = self.type_descriptor.annotation
    if kind in (int, float) and isinstance(value, str):
        value = _number(self, ctx, value)
    elif not _is_converted(value, kind) or (value in (None, ()) and self.required):
        return super(type(self), self).process_value(ctx, value)
    return self.callback(ctx, self, value) if self.callback else value


class _LightOption(TyperOption):
    process_value = _process_value

    def get_help_record(self, ctx: Any) -> tuple[str, str] | None:
        from cli.help.layout import option_record

        return None if self.hidden else option_record(self, self.display_type(ctx))

    def display_type(self, ctx: Any) -> str:
        from cli.help.layout import value_name

        return self.metavar or value_name(self.type_descriptor)


class _LightArgument(TyperArgument):
    process_value = _process_value

    def get_usage_pieces(self, ctx: Any) -> list[str]:
        name = self.display_name_raw
        return [name if self.required else f"[{name}]"]

    def get_help_record(self, ctx: Any) -> tuple[str, str] | None:
        return None if self.hidden else (self.display_name_raw, self.help or "")


def _is_converted(value: Any, kind: Any) -> bool:
    """Whether a value can be used as it is."""
    if value is None or value == ():
        return True
    if kind == list[str]:
        return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
    return kind in (str, int, float) and isinstance(value, kind)


def _number(parameter: Any, ctx: Any, text: str) -> int | float:
    kind, least, most = parameter.type_descriptor.annotation, parameter.min, parameter.max
    wrong = ""
    try:
        value: int | float = kind(text)
    except ValueError:
        wrong = f"{text!r} is not a {'whole number' if kind is int else 'number'}"
    else:
        if least is not None and not value >= least:  # also NaN
            wrong = f"{text} is less than {least}"
        elif most is not None and value > most:
            wrong = f"{text} is more than {most}"
    if wrong:
        raise typer.BadParameter(wrong, ctx=ctx, param=parameter)
    return value


def lighten(parameters: list[Any]) -> list[Any]:
    """Have parameters skip the adapter where they can."""
    for parameter in parameters:
        if type(parameter) is TyperOption:
            parameter.__class__ = _LightOption
        elif type(parameter) is TyperArgument:
            parameter.__class__ = _LightArgument
    return parameters


class _Helped:
    """The help of a command, composed only when it is asked for."""

    def get_params(self, ctx: Any) -> list[Any]:
        return lighten(super().get_params(ctx))  # type: ignore[misc]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if any(word == "--fleet" for word in args):
            from cli.arguments.fleet import with_address

            args = with_address(args)
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc, no-any-return]
        except TyperException as error:
            if getattr(error, "ctx", ctx) is None:  # an option without its value
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def make_parser(self, ctx: Any) -> Any:
        """A parser that takes -1 for the thread that was used last, where threads are named."""
        parser = super().make_parser(ctx)  # type: ignore[misc]
        arguments = [each for each in self.params if isinstance(each, TyperArgument)]  # type: ignore[attr-defined]
        if any("THREAD" in (argument.metavar or "") for argument in arguments):
            from state.errors import POSITION

            process = parser._process_opts

            def processed(word: str, state: Any) -> None:
                if POSITION.fullmatch(word):
                    state.largs.append(word)
                else:
                    process(word, state)

            parser._process_opts = processed
        return parser

    def get_help_option_names(self, ctx: Any) -> list[str]:
        return [*ctx.help_option_names]  # in order; Typer makes a set of them

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from cli.help.layout import write_sections

        write_sections(formatter, ctx, self, self.shared_options())

    def shared_options(self) -> set[str]:
        """The names of options that are filters, of which it may have some."""
        from cli.arguments.filters import Filters

        return {*Filters._fields}

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from cli.help.layout import write_examples
        from cli.help.usage import name_of

        write_examples(formatter, name_of(ctx))


class Command(_Helped, TyperCommand):
    """A command whose function returns the exit status."""

    def invoke(self, ctx: Any) -> Any:
        raise typer.Exit(super().invoke(ctx) or 0)


class Group(_Helped, TyperGroup):
    """A command with others below it, which may do something by itself; all have an exit status.
    Without a word, one that does nothing by itself shows its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not self.invoke_without_command and not ctx.resilient_parsing:
            args = ["--help"]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        from cli.help.layout import write_commands_of
        from cli.help.usage import name_of

        write_commands_of(formatter, name_of(ctx), self.list_commands(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if ctx.resilient_parsing or args[0] in self.commands:
            return super().resolve_command(ctx, args)
        from cli.help.usage import name_of, unknown_command

        raise unknown_command(name_of(ctx), args[0], self.list_commands(ctx))

    def invoke(self, ctx: Any) -> Any:
        raise typer.Exit(super().invoke(ctx) or 0)
