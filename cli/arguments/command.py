"""How commands are built: as Typer's, with an exit status, and without loading pydantic.

Since 0.29 Typer converts every value with a pydantic adapter, texts that stay as they are too.
Loading pydantic takes longer than all else a short command does. So values that need no conversion
skip the adapter; all others go through it, and it words the errors.
"""

from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption


class _LightOption(TyperOption):
    def process_value(self, ctx: Any, value: Any) -> Any:
        known, plain = _converted(self, value)
        if not known:
            return super().process_value(ctx, value)
        return self.callback(ctx, self, plain) if self.callback else plain


class _LightArgument(TyperArgument):
    def get_usage_pieces(self, ctx: Any) -> list[str]:
        name = self.display_name_raw
        return [name if self.required else f"[{name}]"]

    def display_type(self, ctx: Any) -> str:
        return ""  # the name says enough

    def process_value(self, ctx: Any, value: Any) -> Any:
        known, plain = _converted(self, value)
        if not known:
            return super().process_value(ctx, value)
        return self.callback(ctx, self, plain) if self.callback else plain


def _converted(parameter: TyperOption | TyperArgument, value: Any) -> tuple[bool, Any]:
    """Whether a value can be used as it is or by a plain conversion, and what it is then."""
    if value is None or value == ():
        return not parameter.required, value
    kind = parameter.type_descriptor.annotation
    if kind is int and isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value) if len(value) < 10 else value
    if kind in (int, float) and isinstance(value, kind):
        least, most = parameter.min, parameter.max
        return (least is None or value >= least) and (most is None or value <= most), value
    if kind == list[str] and isinstance(value, list | tuple):
        return all(isinstance(each, str) for each in value), value
    return kind is str and isinstance(value, str), value


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
