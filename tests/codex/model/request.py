"""What Codex asks the model."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_TASK = "Message Type: NEW_TASK"
_WITH_TOOLS = ("additional_tools", "tool_search_output")
_ASIDE = ("<environment_context", "# AGENTS")

Item = dict[str, Any]
Step = list[Item]


@dataclass(frozen=True)
class Request:
    """What Codex asks the model."""

    number: int
    body: Mapping[str, Any]

    @cached_property
    def input(self) -> list[Item]:
        """The items so far."""
        given = self.body.get("input")
        return given if isinstance(given, list) else []

    @cached_property
    def _last(self) -> int:
        for index in range(len(self.input) - 1, -1, -1):
            if prompt_of(self.input[index]) is not None:
                return index
        return -1

    @cached_property
    def prompt(self) -> str:
        """What it was asked for last."""
        return (prompt_of(self.input[self._last]) or "") if self._last >= 0 else ""

    @cached_property
    def words(self) -> list[str]:
        """What the prompt says to do, in order."""
        return re.findall(r"#([a-z]\w*)", self.prompt)

    @cached_property
    def outputs(self) -> list[Item]:
        """What the tools that were called since then gave."""
        since = self.input[self._last + 1 :]
        return [item for item in since if str(item.get("type")).endswith("_output")]

    @cached_property
    def tools(self) -> dict[str, tuple[str | None, Item]]:
        """Each tool with its namespace, by name."""
        found: dict[str, tuple[str | None, Item]] = {}
        later = [item["tools"] for item in self.input if item.get("type") in _WITH_TOOLS]
        for tools in (self.body.get("tools") or [], *later):
            for tool in tools:
                inner = tool.get("tools") if tool.get("type") == "namespace" else None
                for one in inner or [tool]:
                    name = one.get("name") or one["type"]
                    found.setdefault(name, (tool["name"] if inner else None, one))
        return found

    @property
    def scripted(self) -> bool:
        """Whether there is one tool for everything, which takes a script."""
        return self.tools.get("exec", (None, {}))[1].get("type") == "custom"

    def takes(self, name: str) -> frozenset[str]:
        """The parameters of a tool."""
        parameters = self.tools[name][1].get("parameters") or {}
        return frozenset(parameters.get("properties") or ())

    def search(self, words: str) -> Item:
        """A search for tools that are not named at once."""
        item: Item = {"type": "tool_search_call", "call_id": f"call_{self.number}"}
        return item | {"execution": "client", "arguments": {"query": words, "limit": 8}}

    def call(self, name: str, given: Mapping[str, Any] | str, nth: int = 0) -> Item:
        """A call of a tool: with arguments, or with a text if it takes one."""
        namespace, _ = self.tools[name]
        item: Item = {"name": name, "call_id": f"call_{self.number}_{nth}"}
        if isinstance(given, str):
            item |= {"type": "custom_tool_call", "id": f"ctc_{self.number}_{nth}", "input": given}
            item["status"] = "completed"
        else:
            item |= {"type": "function_call", "id": f"fc_{self.number}_{nth}"}
            item["arguments"] = json.dumps(given)
        return item | ({"namespace": namespace} if namespace else {})

    def agents(self) -> list[str]:
        """The agents that it has spawned."""
        told = json.dumps([output.get("output") for output in self.outputs]).replace('\\"', '"')
        return re.findall(r'"(?:agent_id|thread_id|task_name|agent)"\s*:\s*"([^"]+)"', told)


def prompt_of(item: Item) -> str | None:
    """What a user, or an agent that has others work for it, asks for in an item."""
    kind = item.get("type")
    if kind != "agent_message" and (kind != "message" or item.get("role") != "user"):
        return None
    parts = (part.get("text") or part.get("encrypted_content") for part in item["content"])
    text = " ".join(part for part in parts if part)
    if kind == "agent_message":
        return text if _TASK in text else None
    return None if text.startswith(_ASIDE) else text
