"""Items of paginated threads: a ``TurnItem`` of ``item_completed`` as a ThreadItem
(docs/rollout-format.md#items; required fields and enumerations measured on Codex 0.171)."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rollout.items import parts
from rollout.items.commands import uri_path
from rollout.items.hooks import fragments
from rollout.items.tools import collab_call, command, dynamic_call, file_change, mcp_item
from rollout.schema import strict
from rollout.schema.strict import Fields, Unfit

Build = Callable[[str, Fields], Fields]

ACTIVITY: Final = strict.same("started", "interacted", "interrupted", "completed")
_OUTPUT_PARTS: Final = {
    "input_text": ("text",),
    "input_image": ("image_url",),
    "input_audio": ("audio_url",),
    "encrypted_content": ("encrypted_content",),
}


def _user_message(item_id: str, item: Fields) -> Fields:
    content = [parts.user_input(each) for each in strict.array(item.get("content"))]
    client = strict.optional(item.get("client_id"), strict.text)
    return {"type": "userMessage", "id": item_id, "clientId": client, "content": content}


def _agent_message(item_id: str, item: Fields) -> Fields:
    message = ""
    for each in strict.array(item.get("content")):
        part = strict.obj(each)
        if part.get("type") != "Text":
            raise Unfit
        message += strict.text(part.get("text"))
    return parts.agent_message(item_id, message, item)


def _reasoning(item_id: str, item: Fields) -> Fields:
    content = strict.default(item, "raw_content", strict.texts, [])
    summary = strict.texts(item.get("summary_text"))
    return {"type": "reasoning", "id": item_id, "summary": summary, "content": content}


def activity(item_id: str, item: Fields) -> Fields:
    """The activity of a spawned agent: an item, or a ``sub_agent_activity``."""
    return {
        "type": "subAgentActivity",
        "model": strict.optional(item.get("model"), strict.text),
        "reasoningEffort": strict.optional(item.get("reasoning_effort"), parts.effort),
        "id": item_id,
        "kind": strict.member(item.get("kind"), ACTIVITY),
        "agentThreadId": strict.uuid(item.get("agent_thread_id")),
        "agentPath": parts.agent_path(item.get("agent_path")),
    }


def web_search(item_id: str, item: Fields) -> Fields:
    """A web search: an item, or a ``web_search_end``."""
    shown = {"type": "webSearch", "id": item_id, "query": strict.text(item.get("query"))}
    results = strict.optional(item.get("results"), strict.array)
    return {**shown, "action": parts.web_action(item.get("action")), "results": results}


def _image_view(item_id: str, item: Fields) -> Fields:
    return {"type": "imageView", "id": item_id, "path": uri_path(item.get("path"))}


def picture(
    item_id: str, item: Fields, spelled: strict.Spelling = str, *, plain: bool = False
) -> Fields:
    """A generated picture: from an item of two kinds, or from an ``image_generation_end``. A
    ``plain`` one is an item that has few of the fields."""

    def read(fields: Fields, name: str, kind: Callable[[Any], Any]) -> Any:
        return strict.optional(fields.get(spelled(name)), kind)

    more: Fields = {} if plain else item
    made = "fileId" if isinstance(more.get("fileId"), str) else "result"
    shown = {
        "type": "imageGeneration",
        "id": item_id,
        "status": strict.text(item.get("status")),
        "revisedPrompt": read(item, "revised_prompt", strict.text),
        made: strict.text(item.get(made)),
        "transparentBackground": read(more, "transparent_background", strict.flag),
        "failure": read(more, "failure", parts.picture_failure),
        "generationId": read(more, "generation_id", strict.text),
    }
    if used := strict.default(more, spelled("input_images"), parts.input_images, []):
        shown["inputImages"] = used
    path = read(item, "saved_path", parts.absolute_path)
    return shown if path is None else {**shown, "savedPath": path}


def _extension(item_id: str, item: Fields) -> Fields:
    kind = item.get("kind")
    if kind == "clock.sleep":
        duration = strict.integer(item.get("durationMs"), strict.U64)
        return {"type": "sleep", "id": item_id, "durationMs": duration}
    if kind == "image_gen.generation":
        return picture(item_id, item, strict.camel_case)
    if kind == "web.search":
        query = strict.text(item.get("query"))
        action = strict.optional(item.get("action"), _extension_action)
        results = strict.optional(item.get("results"), strict.array)
        shown = {"type": "webSearch", "id": item_id, "query": query}
        return {**shown, "action": action, "results": results}
    raise Unfit


def _extension_action(value: object) -> Fields:
    names = {"search": "search", "openPage": "open_page", "findInPage": "find_in_page"}
    if isinstance(value, list):
        return parts.web_action(value)
    action = strict.obj(value)
    return parts.web_action({**action, "type": names.get(strict.text(action.get("type")), "other")})


def _function_output(item_id: str, item: Fields) -> Fields:
    output = item.get("output")
    if not isinstance(output, str):
        for each in strict.array(output):
            part = strict.obj(each)
            for name in _OUTPUT_PARTS.get(strict.text(part.get("type")), ("",)):
                strict.text(part.get(name))
    namespace = strict.optional(item.get("namespace"), strict.text)
    shown = {"type": "functionCallOutput", "id": item_id, "name": strict.text(item.get("name"))}
    return {**shown, "namespace": namespace, "output": output}


def _hook_prompt(item_id: str, item: Fields) -> Fields:
    return {"type": "hookPrompt", "id": item_id, "fragments": fragments(item.get("fragments"))}


def _entered_review(item_id: str, item: Fields) -> Fields:
    parts.review_target(item.get("target"))
    hint = strict.text(item.get("user_facing_hint"))
    return {"type": "enteredReviewMode", "id": item_id, "review": hint}


def _exited_review(item_id: str, item: Fields) -> Fields:
    review = parts.review_text(item.get("review_output"))
    return {"type": "exitedReviewMode", "id": item_id, "review": review}


ITEM_BUILDERS: Final[dict[str, Build]] = {
    "UserMessage": _user_message,
    "AgentMessage": _agent_message,
    "Plan": lambda own, item: {"type": "plan", "id": own, "text": strict.text(item.get("text"))},
    "Reasoning": _reasoning,
    "CommandExecution": command,
    "FileChange": file_change,
    "McpToolCall": mcp_item,
    "DynamicToolCall": dynamic_call,
    "CollabAgentToolCall": collab_call,
    "SubAgentActivity": activity,
    "WebSearch": web_search,
    "ImageView": _image_view,
    "ImageGeneration": partial(picture, plain=True),
    "Extension": _extension,
    "FunctionCallOutput": _function_output,
    "HookPrompt": _hook_prompt,
    "EnteredReviewMode": _entered_review,
    "ExitedReviewMode": _exited_review,
    "ContextCompaction": lambda own, _: {"type": "contextCompaction", "id": own},
}
"""Builds the ThreadItem of each type of ``TurnItem``."""
