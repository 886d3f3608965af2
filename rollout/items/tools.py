"""Items of paginated threads that are the work of tools: part of :mod:`rollout.items.paginated`
(docs/rollout-format.md#items)."""

from typing import Final

from rollout.items.commands import command_actions, shell_line, uri_path
from rollout.items.parts import PATCH_STATUS, app_ui, effort, file_changes, mcp_result
from rollout.schema.strict import (
    I32,
    Fields,
    Unfit,
    array,
    camel,
    default,
    duration_ms,
    flag,
    integer,
    member,
    obj,
    optional,
    same,
    text,
    texts,
    uuid,
)

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
_CONTENT_PARTS: Final = {"inputText": "text", "inputImage": "imageUrl", "inputAudio": "audioUrl"}


def command(item_id: str, item: Fields) -> Fields:
    """A command."""
    cwd = uri_path(item.get("cwd"))
    optional(item.get("interaction_input"), text)
    output = optional(item.get("aggregated_output"), text)
    return {
        "type": "commandExecution",
        "id": item_id,
        "pluginId": optional(item.get("plugin_id"), text),
        "scriptPath": optional(item.get("script_path"), text),
        "command": shell_line(texts(item.get("command"))),
        "cwd": cwd,
        "processId": optional(item.get("process_id"), text),
        "source": member(item.get("source"), _COMMAND_SOURCE),
        "status": member(item.get("status"), _COMMAND_STATUS),
        "commandActions": command_actions(item.get("parsed_cmd"), cwd),
        "aggregatedOutput": output or None,
        "exitCode": optional(item.get("exit_code"), lambda value: integer(value, I32)),
        "durationMs": optional(item.get("duration"), duration_ms),
    }


def file_change(item_id: str, item: Fields) -> Fields:
    """A patch."""
    optional(item.get("auto_approved"), flag)
    optional(item.get("stdout"), text)
    optional(item.get("stderr"), text)
    changes = file_changes(item.get("changes"))
    # A patch that is not finished has no status.
    status = optional(item.get("status"), lambda value: member(value, PATCH_STATUS)) or "inProgress"
    return {"type": "fileChange", "id": item_id, "changes": changes, "status": status}


def mcp_item(item_id: str, item: Fields) -> Fields:
    """A call of a tool of an MCP server."""
    if "arguments" not in item:
        raise Unfit
    app = {
        name: optional(item.get(name), text)
        for name in ("connectorId", "linkId", "appName", "actionName", "mcpAppResourceUri")
    }
    environment = optional(item.get("environmentId"), text)
    ui = optional(item.get("mcpAppUi"), app_ui)
    return {
        **mcp_call(item_id, item, app, environment, ui),
        "status": member(item.get("status"), _MCP_STATUS),
        "pluginId": optional(item.get("pluginId"), text),
        "readOnlyHint": optional(item.get("readOnlyHint"), flag),
        "result": optional(item.get("result"), mcp_result),
        "error": optional(item.get("error"), _mcp_error),
        "durationMs": optional(item.get("duration"), duration_ms),
    }


def _mcp_error(value: object) -> Fields:
    return {"message": text(obj(value).get("message"))}


def mcp_call(
    item_id: str, call: Fields, app: Fields, environment: str | None, ui: Fields | None
) -> Fields:
    """The first fields of a call of an MCP tool; ``app`` describes the app that it is part of,
    ``environment`` says where the server runs."""
    context = None
    if app["connectorId"] is not None:
        context = {
            "connectorId": app["connectorId"],
            "linkId": app["linkId"],
            "resourceUri": app["mcpAppResourceUri"],
            "appName": app["appName"],
            "actionName": app["actionName"],
        }
    shown: Fields = {
        "type": "mcpToolCall",
        "id": item_id,
        "server": text(call.get("server")),
        "environmentId": environment,
        "tool": text(call.get("tool")),
        "arguments": call.get("arguments"),
        "appContext": context,
        "mcpAppUi": ui,
    }
    if app["mcpAppResourceUri"] is not None:
        shown["mcpAppResourceUri"] = app["mcpAppResourceUri"]
    return shown


def dynamic_call(item_id: str, item: Fields) -> Fields:
    """A call of a tool of the client."""
    if "arguments" not in item:
        raise Unfit
    optional(item.get("error"), text)
    return {
        "type": "dynamicToolCall",
        "id": item_id,
        "namespace": optional(item.get("namespace"), text),
        "tool": text(item.get("tool")),
        "arguments": item["arguments"],
        "status": member(item.get("status"), _TOOL_STATUS),
        "contentItems": optional(item.get("content_items"), _content_items),
        "success": optional(item.get("success"), flag),
        "durationMs": optional(item.get("duration"), duration_ms),
    }


def _content_items(value: object) -> list[Fields]:
    shown = []
    for each in array(value):
        part = obj(each)
        kind = text(part.get("type"))
        name = member(kind, _CONTENT_PARTS)
        shown.append({"type": kind, name: text(part.get(name))})
    return shown


def collab_call(item_id: str, item: Fields) -> Fields:
    """A call by which an agent directs other agents."""
    for each in default(item, "receiver_agents", array, []):
        agent = obj(each)
        uuid(agent.get("thread_id"))
        optional(agent.get("agent_nickname"), text)
        optional(agent.get("agent_role"), text)
    receivers = [uuid(each) for each in default(item, "receiver_thread_ids", array, [])]
    states = default(item, "agents_states", obj, {})
    return {
        "type": "collabAgentToolCall",
        "id": item_id,
        "tool": member(item.get("tool"), _COLLAB_TOOL),
        "status": member(item.get("status"), _COLLAB_STATUS),
        "senderThreadId": uuid(item.get("sender_thread_id")),
        "receiverThreadIds": receivers,
        "prompt": optional(item.get("prompt"), text),
        "model": optional(item.get("model"), text),
        "reasoningEffort": optional(item.get("reasoning_effort"), effort),
        "agentsStates": {uuid(thread): _agent_state(state) for thread, state in states.items()},
    }


def _agent_state(value: object) -> Fields:
    match value:
        case str(name):
            return {"status": member(name, _AGENT_STATE), "message": None}
        case {"completed": message, **others} if not others:
            return {"status": "completed", "message": optional(message, text)}
        case {"errored": message, **others} if not others:
            return {"status": "errored", "message": text(message)}
    raise Unfit
