"""Items of paginated threads: a ``TurnItem`` of ``item_completed`` as a ThreadItem
(rollout-format §7, §16.1; required fields and enumerations measured on Codex 0.169)."""

from collections.abc import Callable
from typing import Any, Final

from rollout.commands import command_actions, shell_line, uri_path
from rollout.hooks import fragments
from rollout.parts import (
    PATCH_STATUS,
    absolute_path,
    agent_message,
    agent_path,
    file_changes,
    mcp_result,
    review_target,
    review_text,
    user_input,
    web_action,
)
from rollout.shapes import (
    I32,
    U64,
    Fields,
    Unfit,
    absent,
    array,
    camel,
    default,
    duration_ms,
    flag,
    integer,
    member,
    obj,
    same,
    text,
    texts,
    uuid,
)

Build = Callable[[str, Fields], Fields]

_COMMAND_STATUS: Final = camel("in_progress", "completed", "failed", "declined")
_COMMAND_SOURCE: Final = camel(
    "agent", "user_shell", "unified_exec_startup", "unified_exec_interaction"
)
_MCP_STATUS: Final = same("inProgress", "completed", "failed")
_TOOL_STATUS: Final = camel("in_progress", "completed", "failed")
_COLLAB_STATUS: Final = camel("in_progress", "completed", "failed", "interrupted")
_COLLAB_TOOL: Final = camel(
    *("spawn_agent", "send_input", "resume_agent", "wait", "close_agent", "send_message"),
    *("followup_task", "interrupt_agent", "list_agents"),
)
_AGENT_STATE: Final = camel("pending_init", "running", "interrupted", "shutdown", "not_found")
ACTIVITY: Final = same("started", "interacted", "interrupted", "completed")
_OUTPUT_PARTS: Final = {
    "input_text": ("text",),
    "input_image": ("image_url",),
    "input_audio": ("audio_url",),
    "encrypted_content": ("encrypted_content",),
}
_CONTENT_PARTS: Final = {
    "inputText": "text",
    "inputImage": "imageUrl",
    "inputAudio": "audioUrl",
}


def _user_message(item_id: str, item: Fields) -> Fields:
    content = [user_input(each) for each in array(item.get("content"))]
    client = absent(item.get("client_id"), text)
    return {"type": "userMessage", "id": item_id, "clientId": client, "content": content}


def _agent_message(item_id: str, item: Fields) -> Fields:
    said = []
    for each in array(item.get("content")):
        part = obj(each)
        if part.get("type") != "Text":
            raise Unfit
        said.append(text(part.get("text")))
    return agent_message(item_id, "".join(said), item)


def _plan(item_id: str, item: Fields) -> Fields:
    return {"type": "plan", "id": item_id, "text": text(item.get("text"))}


def _reasoning(item_id: str, item: Fields) -> Fields:
    content = default(item, "raw_content", texts, [])
    summary = texts(item.get("summary_text"))
    return {"type": "reasoning", "id": item_id, "summary": summary, "content": content}


def _command(item_id: str, item: Fields) -> Fields:
    cwd = uri_path(item.get("cwd"))
    absent(item.get("interaction_input"), text)
    output = absent(item.get("aggregated_output"), text)
    return {
        "type": "commandExecution",
        "id": item_id,
        "pluginId": absent(item.get("plugin_id"), text),
        "scriptPath": absent(item.get("script_path"), text),
        "command": shell_line(texts(item.get("command"))),
        "cwd": cwd,
        "processId": absent(item.get("process_id"), text),
        "source": member(item.get("source"), _COMMAND_SOURCE),
        "status": member(item.get("status"), _COMMAND_STATUS),
        "commandActions": command_actions(item.get("parsed_cmd"), cwd),
        "aggregatedOutput": output or None,
        "exitCode": absent(item.get("exit_code"), lambda value: integer(value, I32)),
        "durationMs": absent(item.get("duration"), duration_ms),
    }


def _file_change(item_id: str, item: Fields) -> Fields:
    absent(item.get("auto_approved"), flag)
    absent(item.get("stdout"), text)
    absent(item.get("stderr"), text)
    changes = file_changes(item.get("changes"))
    # A patch that is not finished has no status.
    status = absent(item.get("status"), lambda value: member(value, PATCH_STATUS)) or "inProgress"
    return {"type": "fileChange", "id": item_id, "changes": changes, "status": status}


def _mcp_call(item_id: str, item: Fields) -> Fields:
    if "arguments" not in item:
        raise Unfit
    said = {
        name: absent(item.get(name), text)
        for name in ("connectorId", "linkId", "appName", "actionName", "mcpAppResourceUri")
    }
    return {
        **mcp_call(item_id, item, said),
        "status": member(item.get("status"), _MCP_STATUS),
        "pluginId": absent(item.get("pluginId"), text),
        "readOnlyHint": absent(item.get("readOnlyHint"), flag),
        "result": absent(item.get("result"), mcp_result),
        "error": absent(item.get("error"), _mcp_error),
        "durationMs": absent(item.get("duration"), duration_ms),
    }


def _mcp_error(value: object) -> Fields:
    return {"message": text(obj(value).get("message"))}


def mcp_call(item_id: str, call: Fields, said: Fields) -> Fields:
    """What a tool call of an MCP server begins with; ``said`` is about the app it is part of."""
    app = None
    if said["connectorId"] is not None:
        app = {
            "connectorId": said["connectorId"],
            "linkId": said["linkId"],
            "resourceUri": said["mcpAppResourceUri"],
            "appName": said["appName"],
            "actionName": said["actionName"],
        }
    shown: Fields = {
        "type": "mcpToolCall",
        "id": item_id,
        "server": text(call.get("server")),
        "tool": text(call.get("tool")),
        "arguments": call.get("arguments"),
        "appContext": app,
        "mcpAppUi": None,
    }
    if said["mcpAppResourceUri"] is not None:
        shown["mcpAppResourceUri"] = said["mcpAppResourceUri"]
    return shown


def _dynamic_call(item_id: str, item: Fields) -> Fields:
    if "arguments" not in item:
        raise Unfit
    absent(item.get("error"), text)
    return {
        "type": "dynamicToolCall",
        "id": item_id,
        "namespace": absent(item.get("namespace"), text),
        "tool": text(item.get("tool")),
        "arguments": item["arguments"],
        "status": member(item.get("status"), _TOOL_STATUS),
        "contentItems": absent(item.get("content_items"), _content_items),
        "success": absent(item.get("success"), flag),
        "durationMs": absent(item.get("duration"), duration_ms),
    }


def _content_items(value: object) -> list[Fields]:
    shown = []
    for each in array(value):
        part = obj(each)
        kind = text(part.get("type"))
        name = member(kind, _CONTENT_PARTS)
        shown.append({"type": kind, name: text(part.get(name))})
    return shown


def _collab_call(item_id: str, item: Fields) -> Fields:
    for each in default(item, "receiver_agents", array, []):
        agent = obj(each)
        uuid(agent.get("thread_id"))
        absent(agent.get("agent_nickname"), text)
        absent(agent.get("agent_role"), text)
    receivers = [uuid(each) for each in default(item, "receiver_thread_ids", array, [])]
    states = default(item, "agents_states", obj, {})
    return {
        "type": "collabAgentToolCall",
        "id": item_id,
        "tool": member(item.get("tool"), _COLLAB_TOOL),
        "status": member(item.get("status"), _COLLAB_STATUS),
        "senderThreadId": uuid(item.get("sender_thread_id")),
        "receiverThreadIds": receivers,
        "prompt": absent(item.get("prompt"), text),
        "model": absent(item.get("model"), text),
        "reasoningEffort": absent(item.get("reasoning_effort"), text),
        "agentsStates": {uuid(thread): _agent_state(state) for thread, state in states.items()},
    }


def _agent_state(value: object) -> Fields:
    match value:
        case str(name):
            return {"status": member(name, _AGENT_STATE), "message": None}
        case {"completed": said, **others} if not others:
            return {"status": "completed", "message": absent(said, text)}
        case {"errored": said, **others} if not others:
            return {"status": "errored", "message": text(said)}
    raise Unfit


def activity(item_id: str, item: Fields) -> Fields:
    """What became of an agent that was spawned: an item, or a ``sub_agent_activity``."""
    return {
        "type": "subAgentActivity",
        "model": absent(item.get("model"), text),
        "reasoningEffort": absent(item.get("reasoning_effort"), text),
        "id": item_id,
        "kind": member(item.get("kind"), ACTIVITY),
        "agentThreadId": uuid(item.get("agent_thread_id")),
        "agentPath": agent_path(item.get("agent_path")),
    }


def web_search(item_id: str, item: Fields) -> Fields:
    """A search in the web: an item, or a ``web_search_end``."""
    shown = {"type": "webSearch", "id": item_id, "query": text(item.get("query"))}
    results = absent(item.get("results"), array)
    return {**shown, "action": web_action(item.get("action")), "results": results}


def _image_view(item_id: str, item: Fields) -> Fields:
    return {"type": "imageView", "id": item_id, "path": uri_path(item.get("path"))}


def _image_generation(item_id: str, item: Fields) -> Fields:
    return picture(
        item_id,
        item,
        prompt=absent(item.get("revised_prompt"), text),
        path=absent(item.get("saved_path"), absolute_path),
    )


def picture(
    item_id: str,
    item: Fields,
    *,
    prompt: str | None,
    path: str | None,
    transparent: object = None,
    generation: object = None,
) -> Fields:
    """A picture that was made, as an item of two kinds or an ``image_generation_end`` tells."""
    shown = {
        "type": "imageGeneration",
        "id": item_id,
        "status": text(item.get("status")),
        "revisedPrompt": prompt,
        "result": text(item.get("result")),
        "transparentBackground": absent(transparent, flag),
        "failure": absent(item.get("failure"), _no_value),
        "generationId": absent(generation, text),
    }
    return shown if path is None else {**shown, "savedPath": path}


def _no_value(value: object) -> Any:
    raise Unfit  # no value was met that Codex reads


def _extension(item_id: str, item: Fields) -> Fields:
    kind = item.get("kind")
    if kind == "clock.sleep":
        return {
            "type": "sleep",
            "id": item_id,
            "durationMs": integer(item.get("durationMs"), U64),
        }
    if kind == "image_gen.generation":
        for each in default(item, "inputImages", array, []):
            _no_value(each)
        return picture(
            item_id,
            item,
            prompt=absent(item.get("revisedPrompt"), text),
            path=absent(item.get("savedPath"), absolute_path),
            transparent=item.get("transparentBackground"),
            generation=item.get("generationId"),
        )
    if kind == "web.search":
        query = text(item.get("query"))
        action = absent(item.get("action"), _extension_action)
        results = absent(item.get("results"), array)
        shown = {"type": "webSearch", "id": item_id, "query": query}
        return {**shown, "action": action, "results": results}
    raise Unfit


def _extension_action(value: object) -> Fields:
    names = {"search": "search", "openPage": "open_page", "findInPage": "find_in_page"}
    action = obj(value)
    return web_action({**action, "type": names.get(text(action.get("type")), "other")})


def _function_output(item_id: str, item: Fields) -> Fields:
    output = item.get("output")
    if not isinstance(output, str):
        for each in array(output):
            part = obj(each)
            for name in _OUTPUT_PARTS.get(text(part.get("type")), ("",)):
                text(part.get(name))
    namespace = absent(item.get("namespace"), text)
    shown = {"type": "functionCallOutput", "id": item_id, "name": text(item.get("name"))}
    return {**shown, "namespace": namespace, "output": output}


def _hook_prompt(item_id: str, item: Fields) -> Fields:
    return {"type": "hookPrompt", "id": item_id, "fragments": fragments(item.get("fragments"))}


def _entered_review(item_id: str, item: Fields) -> Fields:
    review_target(item.get("target"))
    hint = text(item.get("user_facing_hint"))
    return {"type": "enteredReviewMode", "id": item_id, "review": hint}


def _exited_review(item_id: str, item: Fields) -> Fields:
    review = review_text(item.get("review_output"))
    return {"type": "exitedReviewMode", "id": item_id, "review": review}


def _compaction(item_id: str, item: Fields) -> Fields:
    return {"type": "contextCompaction", "id": item_id}


BUILDS: Final[dict[str, Build]] = {
    "UserMessage": _user_message,
    "AgentMessage": _agent_message,
    "Plan": _plan,
    "Reasoning": _reasoning,
    "CommandExecution": _command,
    "FileChange": _file_change,
    "McpToolCall": _mcp_call,
    "DynamicToolCall": _dynamic_call,
    "CollabAgentToolCall": _collab_call,
    "SubAgentActivity": activity,
    "WebSearch": web_search,
    "ImageView": _image_view,
    "ImageGeneration": _image_generation,
    "Extension": _extension,
    "FunctionCallOutput": _function_output,
    "HookPrompt": _hook_prompt,
    "EnteredReviewMode": _entered_review,
    "ExitedReviewMode": _exited_review,
    "ContextCompaction": _compaction,
}
"""What makes a ThreadItem of each type of ``TurnItem``."""
