"""Every type of item and event with all fields that it is known to have, and what may stand there
instead: for asking a real Codex, and for what must hold whatever stands there."""

from collections.abc import Iterator
from typing import Any, Final

Fields = dict[str, Any]

_OTHER: Final = "01a14000-0000-7000-8000-0000000000ff"
_TURN: Final = "01a14000-0000-7000-8000-0000000000a1"
_TIME: Final = {"secs": 1, "nanos": 5}
_APP_UI: Final = {"resourceUri": "ui://x", "preferredModelDisplayMode": "inline"}
_FAILURE: Final = {"type": "usageLimitExceeded", "limitId": "l", "resetsAt": 5}
_HELPLINE: Final = {"kind": "wellbeingHelpline", "subject": "answer"}

ITEMS: Final[dict[str, Fields]] = {
    "UserMessage": {
        "content": [
            {
                "type": "text",
                "text": "asked",
                "text_elements": [{"byte_range": {"start": 0, "end": 1}, "placeholder": "p"}],
            },
            {"type": "image", "image_url": "http://x", "detail": "low"},
            {"type": "local_image", "path": "/x", "detail": "high"},
            {"type": "audio", "audio_url": "u"},
            {"type": "local_audio", "path": "/p"},
            {"type": "skill", "name": "n", "path": "/p"},
            {"type": "mention", "name": "n", "path": "p"},
        ],
        "client_id": "c",
    },
    "AgentMessage": {
        "content": [{"type": "Text", "text": "answered"}],
        "phase": "commentary",
        "memory_citation": {
            "entries": [{"path": "p", "lineStart": 1, "lineEnd": 2, "note": "n"}],
            "rolloutIds": ["r"],
        },
        "delivery": "async",
        "questions": [{"title": "t", "options": ["a"]}],
        "moderation": {"moderated": True, "display": {"action": "hide"}},
    },
    "Plan": {"text": "planned"},
    "Reasoning": {"summary_text": ["thought"], "raw_content": ["raw"]},
    "CommandExecution": {
        "command": ["bash", "-lc", "ls"],
        "cwd": "file:///w",
        "parsed_cmd": [
            {"type": "read", "cmd": "c", "name": "n", "path": "p"},
            {"type": "list_files", "cmd": "c", "path": "x"},
            {"type": "search", "cmd": "c", "query": "q", "path": None},
            {"type": "unknown", "cmd": "c"},
        ],
        "source": "agent",
        "status": "completed",
        "process_id": "1",
        "aggregated_output": "o",
        "exit_code": 0,
        "duration": _TIME,
        "plugin_id": "p",
        "script_path": "s",
        "interaction_input": "i",
    },
    "FileChange": {
        "changes": {
            "/a": {"type": "add", "content": "c"},
            "/b": {"type": "update", "unified_diff": "d", "move_path": "/c"},
            "/d": {"type": "delete", "content": "x"},
        },
        "status": "completed",
        "auto_approved": True,
        "stdout": "o",
        "stderr": "e",
    },
    "McpToolCall": {
        "server": "s",
        "tool": "t",
        "arguments": {"a": 1},
        "status": "completed",
        "connectorId": "c",
        "linkId": "l",
        "appName": "a",
        "templateId": "t",
        "actionName": "n",
        "pluginId": "p",
        "readOnlyHint": True,
        "mcpAppResourceUri": "u",
        "mcpAppUi": _APP_UI,
        "environmentId": "e",
        "result": {
            "content": [{"type": "text", "text": "x"}],
            "structuredContent": {"a": 1},
            "isError": False,
            "_meta": {"m": 1},
        },
        "error": {"message": "m"},
        "duration": _TIME,
    },
    "DynamicToolCall": {
        "tool": "t",
        "arguments": {},
        "status": "completed",
        "namespace": "n",
        "content_items": [
            {"type": "inputText", "text": "x"},
            {"type": "inputImage", "imageUrl": "u"},
        ],
        "success": True,
        "error": "e",
        "duration": _TIME,
    },
    "CollabAgentToolCall": {
        "tool": "spawn_agent",
        "status": "completed",
        "sender_thread_id": _OTHER,
        "receiver_thread_ids": [_OTHER],
        "receiver_agents": [{"thread_id": _OTHER, "agent_nickname": "n", "agent_role": "r"}],
        "prompt": "p",
        "model": "m",
        "reasoning_effort": "low",
        "agents_states": {_OTHER: {"completed": "x"}},
    },
    "SubAgentActivity": {
        "kind": "started",
        "agent_thread_id": _OTHER,
        "agent_path": "/root/x",
        "model": "m",
        "reasoning_effort": "low",
    },
    "WebSearch": {
        "query": "q",
        "action": {"type": "search", "query": "q", "queries": ["a"]},
        "results": [{"a": 1}],
    },
    "ImageView": {"path": "file:///x"},
    "ImageGeneration": {
        "status": "completed",
        "result": "r",
        "revised_prompt": "p",
        "saved_path": "/x",
    },
    "Extension clock.sleep": {"durationMs": 5},
    "Extension image_gen.generation": {
        "status": "completed",
        "result": "r",
        "fileId": "f",
        "savedPath": "/x",
        "revisedPrompt": "p",
        "transparentBackground": True,
        "generationId": "g",
        "failure": _FAILURE,
        "inputImages": [{"path": "/x", "sha256": "s"}],
    },
    "Extension web.search": {
        "query": "q",
        "action": {"type": "search", "query": "q", "queries": ["a"]},
        "results": [{"a": 1}],
    },
    "FunctionCallOutput": {"name": "n", "output": "o", "namespace": "ns"},
    "HookPrompt": {"fragments": [{"text": "t", "hookRunId": "h"}]},
    "EnteredReviewMode": {
        "target": {"type": "custom", "instructions": "i"},
        "user_facing_hint": "h",
    },
    "ExitedReviewMode": {
        "review_output": {
            "findings": [],
            "overall_correctness": "c",
            "overall_explanation": "e",
            "overall_confidence_score": 0.5,
        }
    },
    "ContextCompaction": {},
}
"""The fields of each type of ``TurnItem``, but for its ``id``; ``Extension`` with its kind."""

EVENTS: Final[dict[str, Fields]] = {
    "user_message": {
        "message": "asked",
        "images": ["u"],
        "local_images": ["/p"],
        "audio": ["a"],
        "local_audio": ["/q"],
        "text_elements": [],
        "client_id": "c",
        "image_details": ["low"],
        "local_image_details": ["high"],
        "kind": "plain",
    },
    "agent_message": {
        "message": "answered",
        "phase": "commentary",
        "memory_citation": {"entries": [], "rolloutIds": []},
        "delivery": "async",
        "questions": [{"title": "t"}],
        "moderation": {"item_id": "m", "moderated": True},
    },
    "agent_reasoning": {"text": "thought"},
    "agent_reasoning_raw_content": {"text": "raw"},
    "mcp_tool_call_end": {
        "call_id": "c",
        "invocation": {"server": "s", "tool": "t", "arguments": {}, "environment_id": "e"},
        "duration": _TIME,
        "result": {"Ok": {"content": []}},
        "turn_id": _TURN,
        "plugin_id": "p",
        "read_only_hint": True,
        "connector_id": "c",
        "link_id": "l",
        "app_name": "a",
        "template_id": "t",
        "action_name": "n",
        "mcp_app_resource_uri": "u",
        "mcp_app_ui": _APP_UI,
    },
    "patch_apply_end": {
        "call_id": "c",
        "stdout": "",
        "stderr": "",
        "success": True,
        "turn_id": _TURN,
        "status": "completed",
        "changes": {"/a": {"type": "add", "content": "x"}},
        "auto_approved": True,
    },
    "web_search_end": {
        "call_id": "c",
        "query": "q",
        "action": {"type": "search", "query": "q"},
        "results": [{}],
    },
    "image_generation_end": {
        "call_id": "c",
        "status": "completed",
        "result": "r",
        "revised_prompt": "p",
        "saved_path": "/x",
        "transparent_background": True,
        "generation_id": "g",
        "failure": _FAILURE,
        "input_images": [{"path": "/x", "sha256": "s"}],
        "fileId": "f",
    },
    "context_compacted": {},
    "entered_review_mode": {
        "target": {"type": "uncommittedChanges"},
        "user_facing_hint": "h",
        "turn_id": _TURN,
        "item_id": "i",
    },
    "exited_review_mode": {"review_output": None, "turn_id": _TURN, "item_id": "i"},
    "sub_agent_activity": {
        "event_id": "e",
        "occurred_at_ms": 5,
        "agent_thread_id": _OTHER,
        "agent_path": "/root/x",
        "kind": "started",
        "model": "m",
        "reasoning_effort": "low",
    },
}
"""The fields of each event of a legacy thread that is an item."""

ODD: Final[tuple[Any, ...]] = (None, 7, "x", "", {}, [], True, [7], {"x": 1})
"""What may stand in a field."""

DISPLAYS: Final[tuple[Any, ...]] = (
    {"mode": "show", "version": 1, "trustedContacts": "check"},
    {"mode": "show", "version": 1, "trustedContacts": "skip", "annotation": _HELPLINE, "x": 1},
    {"mode": "show", "version": 1, "trustedContacts": "skip", "annotation": None},
    {"mode": "show", "version": 1, "trustedContacts": "x"},
    {"mode": "show", "version": 1.0, "trustedContacts": "skip"},
    {"mode": "hide", "version": 1, "replacement": {"kind": "wellbeingPromptHelpline", "x": 1}},
    {"mode": "hide", "version": 1, "replacement": {"kind": "x"}},
    {"mode": "block", "version": 1, "reason": {"kind": "protection", "protectionType": "p"}},
    {"mode": "block", "version": 1, "reason": {"kind": "cyber", "trustedAccess": True}},
    {"mode": "block", "version": 1, "reason": {"kind": "cyber", "trustedAccess": None}},
    {"mode": "block", "version": 1, "reason": {"kind": "cyber", "trustedAccess": 7}},
    {"mode": "block", "version": 2, "reason": {"kind": "cyber"}},
    {"mode": "x", "version": 1},
    {"action": "hide", "blockType": "x"},
    7,
)
"""How a moderator has a message shown, in the form of 0.171, of 0.169, and of no version."""
_MODERATIONS: Final = [
    *({"moderated": True, "display": display} for display in DISPLAYS),
    {"moderated": False},
    {"moderated": 1},
]
_QUESTIONS: Final = [
    [{"title": "t", "options": None}],
    [{"title": "t", "options": []}, {"title": "u"}],
    [{"title": "t", "x": 1}],
    [{"title": "t", "options": [1]}],
    [{"options": []}],
    [{}],
]
_UIS: Final = [{**_APP_UI, "preferredModelDisplayMode": mode} for mode in ("fullscreen", "pip")]
_INSIDE: Final[dict[str, list[tuple[str, list[Any]]]]] = {
    "AgentMessage": [("moderation", _MODERATIONS), ("questions", _QUESTIONS)],
    "agent_message": [
        ("moderation", [{**each, "item_id": "m"} for each in _MODERATIONS]),
        ("questions", _QUESTIONS),
    ],
    "McpToolCall": [("mcpAppUi", _UIS)],
    "mcp_tool_call_end": [
        ("mcp_app_ui", _UIS),
        (
            "invocation",
            [
                {"server": "s", "tool": "t", "arguments": {}, "environment_id": value}
                for value in ODD
            ],
        ),
    ],
}


def variants(kind: str, whole: Fields) -> Iterator[Fields]:
    """The fields of one type as they are; with one of no version; and with each of them gone, or
    with something else in it."""
    yield whole
    yield {**whole, "of_the_future": {"a": 1}}
    for name in whole:
        yield {key: value for key, value in whole.items() if key != name}
        yield from ({**whole, name: odd} for odd in ODD)
    for name, values in _INSIDE.get(kind, ()):
        yield from ({**whole, name: value} for value in values)


def item(kind: str, id_: str, fields: Fields) -> Fields:
    """An item of a type, as a line has it."""
    type_, _, extension = kind.partition(" ")
    return {"type": type_, "id": id_, **({"kind": extension} if extension else {}), **fields}
