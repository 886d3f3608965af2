"""A server that says what is wrong with arguments, as the SDK's does not: it ignores those that it
does not know, so that an agent takes an answer for one to what it has asked."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolResult,
    GetPromptResult,
    InputRequiredResult,
    Tool,
)
from pydantic import ValidationError

_LONGEST_NAME: Final = 50
_MOST: Final = 5
"""So many names that are not known, and faults, are told."""


class StrictServer(MCPServer[Any]):
    """See the module."""

    left_out: frozenset[str] = frozenset()
    """Parameters that tools do not have here."""

    async def list_tools(self) -> list[Tool]:
        """The tools, whose schemas take no other arguments than theirs."""
        tools = await super().list_tools()
        for tool in tools:
            tool.input_schema["additionalProperties"] = False
            for name in self.left_out:
                tool.input_schema["properties"].pop(name, None)
        return tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. Arguments that it does not have or take are a tool error."""
        for tool in await self.list_tools():
            if tool.name == name and (
                wrong := _unknown(arguments, tool.input_schema["properties"])
            ):
                raise ToolError(wrong)
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error, UnexpectedToolError):
                raise
            fault = error.__cause__
            told = _faults(fault) if isinstance(fault, ValidationError) else str(fault or error)
            raise ToolError(told) from None

    async def run_stdio_async(self) -> None:
        """Serve the client at stdin and stdout, until it is gone."""
        from mcp.server.stdio import stdio_server

        from cli.mcp.transport.messages import Messages

        server = self._lowlevel_server
        try:
            async with stdio_server() as (given, answers):
                options = server.create_initialization_options()
                await server.run(Messages(given, answers), answers, options)
        except* BrokenPipeError:  # while it was answered
            pass

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        context: Context[Any, Any] | None = None,
    ) -> GetPromptResult | InputRequiredResult:
        """A prompt. One that there is not, and arguments that it does not have, are an error."""
        prompts = {prompt.name: prompt.arguments or [] for prompt in await self.list_prompts()}
        given = arguments or {}
        if name not in prompts:
            wrong = f"no prompt {_shown([name])}; there are: {', '.join(prompts)}"
        else:
            wrong = _unknown(given, [each.name for each in prompts[name]])
            missing = [each.name for each in prompts[name] if each.required]
            wrong = wrong or _missing(each for each in missing if not given.get(each))
        if wrong:
            raise MCPError(INVALID_PARAMS, wrong)
        return await super().get_prompt(name, arguments, context)


def _unknown(arguments: Mapping[str, Any], known: Iterable[str]) -> str:
    there = [*known]
    names = [name for name in arguments if name not in there]
    return f"no argument {_shown(names)}; there are: {', '.join(there)}" if names else ""


def _missing(names: Iterable[str]) -> str:
    missing = [*names]
    return f"{_shown(missing)} is missing" if missing else ""


def _shown(names: list[str]) -> str:
    shown = [repr(name[:_LONGEST_NAME]) for name in names[:_MOST]]
    return ", ".join(shown) + ", …" * (len(names) > _MOST)


def _faults(error: ValidationError) -> str:
    """What Pydantic says of some arguments, without what is for people who write models."""
    told = []
    for each in error.errors(include_url=False, include_input=False)[:_MOST]:
        name = ".".join(map(str, each["loc"]))
        said = each["msg"].removeprefix("Value error, ")
        said = said[:1].lower() + said[1:]
        told.append(f"{name} is missing" if each["type"] == "missing" else f"{name}: {said}")
    return "; ".join(told)
