"""Items of paginated threads that are the work of tools: part of :mod:`rollout.items.paginated`
(docs/rollout-format.md#items)."""

from typing import Final

from rollout.items.commands import command_actions, shell_line, uri_path
from rollout.items.parts import PATCH_STATUS, app_ui, effort, file_changes, mcp_result
from rollout.schema import strict
from rollout.schema.strict import Fields, Unfit

_COMMAND_STATUS: Final = strict.camel("in_progress", "completed", "failed", "declined")
_COMMAND_SOURCE: Final = strict.camel(
    "agent", "user_shell", "unified_exec_startup", "unified_exec_interaction"
)
_MCP_STATUS: Final = strict.same("inProgress", "completed", "failed")
_TOOL_STATUS: Final = strict.camel("in_progress", "completed", "failed")
_COLLAB_STATUS: Final = strict.camel("in_progress", "completed", "failed", "interrupted")
_COLLAB_TOOL: Final = strict.camel(
    *("spawn_agent", "send_input", "resume_agent", "wait", "close_agent", "send_message"),
    *("followup_task", "interrupt_agent", "list_agents"),
)
_AGENT_STATE: Final = strict.camel(
    "pending_init", "running", "interrupted", "shutdown", "not_found"
)
_CONTENT_PARTS: Final = {"inputText": "text", "inputImage": "imageUrl", "inputAudio": "audioUrl"}


def command(item_id: str, item: Fields) -> Fields:
    """A command."""
    cwd = uri_path(item.get("cwd"))
    strict.optional(item.get("interaction_input"), strict.text)
    output = strict.optional(item.get("aggregated_output"), strict.text)
    return {
        "type": "commandExecution",
        "id": item_id,
        "pluginId": strict.optional(item.get("plugin_id"), strict.text),
        "scriptPath": strict.optional(item.get("script_path"), strict.text),
        "command": shell_line(strict.texts(item.get("command"))),
        "cwd": cwd,
        "processId": strict.optional(item.get("process_id"), strict.text),
        "source": strict.member(item.get("source"), _COMMAND_SOURCE),
        "status": strict.member(item.get("status"), _COMMAND_STATUS),
        "commandActions": command_actions(item.get("parsed_cmd"), cwd),
        "aggregatedOutput": output or None,
        "exitCode": strict.optional(
            item.get("exit_code"), lambda value: strict.integer(value, strict.I32)
        ),
        "durationMs": strict.optional(item.get("duration"), strict.duration_ms),
    }


def file_change(item_id: str, item: Fields) -> Fields:
    """A patch."""
    strict.optional(item.get("auto_approved"), strict.flag)
    strict.optional(item.get("stdout"), strict.text)
    strict.optional(item.get("stderr"), strict.text)
    changes = file_changes(item.get("changes"))
    # A patch that is not finished has no status.
    status = (
        strict.optional(item.get("status"), lambda value: strict.member(value, PATCH_STATUS))
        or "inProgress"
    )
    return {"type": "fileChange", "id": item_id, "changes": changes, "status": status}


def mcp_item(item_id: str, item: Fields) -> Fields:
    """A call of a tool of an MCP server."""
    if "arguments" not in item:
        raise Unfit
    return {
        **mcp_call(item_id, item, item, strict.camel_case),
        "status": strict.member(item.get("status"), _MCP_STATUS),
        "pluginId": strict.optional(item.get("pluginId"), strict.text),
        "readOnlyHint": strict.optional(item.get("readOnlyHint"), strict.flag),
        "result": strict.optional(item.get("result"), mcp_result),
        "error": strict.optional(item.get("error"), _mcp_error),
        "durationMs": strict.optional(item.get("duration"), strict.duration_ms),
    }


def _mcp_error(value: object) -> Fields:
    return {"message": strict.text(strict.obj(value).get("message"))}


def mcp_call(item_id: str, item: Fields, call: Fields, spelled: strict.Spelling) -> Fields:
    """The first fields of a call of an MCP tool: ``call`` says of which one, ``item`` what app it
    is part of."""

    def optional(fields: Fields, name: str) -> str | None:
        found: str | None = strict.optional(fields.get(spelled(name)), strict.text)
        return found

    context = {
        "connectorId": optional(item, "connector_id"),
        "linkId": optional(item, "link_id"),
        "resourceUri": (resource := optional(item, "mcp_app_resource_uri")),
        "appName": optional(item, "app_name"),
        "actionName": optional(item, "action_name"),
    }
    shown: Fields = {
        "type": "mcpToolCall",
        "id": item_id,
        "server": strict.text(call.get("server")),
        "environmentId": optional(call, "environment_id"),
        "tool": strict.text(call.get("tool")),
        "arguments": call.get("arguments"),
        "appContext": None if context["connectorId"] is None else context,
        "mcpAppUi": strict.optional(item.get(spelled("mcp_app_ui")), app_ui),
    }
    if resource is not None:
        shown["mcpAppResourceUri"] = resource
    return shown


def dynamic_call(item_id: str, item: Fields) -> Fields:
    """A call of a tool of the client."""
    if "arguments" not in item:
        raise Unfit
    strict.optional(item.get("error"), strict.text)
    return {
        "type": "dynamicToolCall",
        "id": item_id,
        "namespace": strict.optional(item.get("namespace"), strict.text),
        "tool": strict.text(item.get("tool")),
        "arguments": item["arguments"],
        "status": strict.member(item.get("status"), _TOOL_STATUS),
        "contentItems": strict.optional(item.get("content_items"), _content_items),
        "success": strict.optional(item.get("success"), strict.flag),
        "durationMs": strict.optional(item.get("duration"), strict.duration_ms),
    }


def _content_items(value: object) -> list[Fields]:
    shown = []
    for each in strict.array(value):
        part = strict.obj(each)
        kind = strict.text(part.get("type"))
        name = strict.member(kind, _CONTENT_PARTS)
        shown.append({"type": kind, name: strict.text(part.get(name))})
    return shown


def collab_call(item_id: str, item: Fields) -> Fields:
    """A call by which an agent directs other agents."""
    for each in strict.default(item, "receiver_agents", strict.array, []):
        agent = strict.obj(each)
        strict.uuid(agent.get("thread_id"))
        strict.optional(agent.get("agent_nickname"), strict.text)
        strict.optional(agent.get("agent_role"), strict.text)
    receivers = [
        strict.uuid(each) for each in strict.default(item, "receiver_thread_ids", strict.array, [])
    ]
    states = strict.default(item, "agents_states", strict.obj, {})
    return {
        "type": "collabAgentToolCall",
        "id": item_id,
        "tool": strict.member(item.get("tool"), _COLLAB_TOOL),
        "status": strict.member(item.get("status"), _COLLAB_STATUS),
        "senderThreadId": strict.uuid(item.get("sender_thread_id")),
        "receiverThreadIds": receivers,
        "prompt": strict.optional(item.get("prompt"), strict.text),
        "model": strict.optional(item.get("model"), strict.text),
        "reasoningEffort": strict.optional(item.get("reasoning_effort"), effort),
        "agentsStates": {
            strict.uuid(thread): _agent_state(state) for thread, state in states.items()
        },
    }


def _agent_state(value: object) -> Fields:
    match value:
        case str(name):
            return {"status": strict.member(name, _AGENT_STATE), "message": None}
        case {"completed": message, **others} if not others:
            return {"status": "completed", "message": strict.optional(message, strict.text)}
        case {"errored": message, **others} if not others:
            return {"status": "errored", "message": strict.text(message)}
    raise Unfit
