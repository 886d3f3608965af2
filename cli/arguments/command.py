"""How commands are built: as Typer's, with an exit status, and without loading pydantic.

Since 0.29 Typer converts every value with a pydantic adapter, texts that stay as they are too.
Loading pydantic takes longer than all else a short command does. So values that need no conversion
skip the adapter, and so do numbers, whose errors are clearer here; all others go through it.
"""

from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption


def _process_value(self: Any, ctx: Any, value: Any) -> Any:
    kind = self.type_descriptor.annotation
    if kind in (int, float) and isinstance(value, str):
        value = _number(self, ctx, value)
    elif not _is_converted(value, kind) or (value in (None, ()) and self.required):
        return super(type(self), self).process_value(ctx, value)
    return self.callback(ctx, self, value) if self.callback else value


class _LightOption(TyperOption):
    process_value = _process_value


class _LightArgument(TyperArgument):
    process_value = _process_value

    def get_usage_pieces(self, ctx: Any) -> list[str]:
        name = self.display_name_raw
        return [name if self.required else f"[{name}]"]

    def display_type(self, ctx: Any) -> str:
        return ""  # the name says enough


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


class Command(TyperCommand):
    """A command whose function returns the exit status."""

    def get_params(self, ctx: Any) -> list[Any]:
        return lighten(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        raise typer.Exit(super().invoke(ctx) or 0)


class Group(TyperGroup):
    """A command that does something by itself and has others below it, both with an exit status."""

    def get_params(self, ctx: Any) -> list[Any]:
        return lighten(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        raise typer.Exit(super().invoke(ctx) or 0)
