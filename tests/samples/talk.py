"""Conversations as an agent would record them, in both history modes."""

from typing import Any

from rollout.jsonl.parse import Item
from rollout.schema.modes import PAGINATED
from rollout.writing.new_thread import NewThread


def new_thread(mode: str = PAGINATED, **fields: Any) -> NewThread:
    """A thread of a small agent, in a folder that is no repository."""
    usual = {
        "cwd": "/work/demo",
        "originator": "demo",
        "cli_version": "0.169.0",
        "source": "cli",
        "model_provider": "mock",
        "history_mode": mode,
    }
    return NewThread(**usual | fields)


def event(kind: str, /, **fields: Any) -> Item:
    """An event without its envelope."""
    return {"type": "event_msg", "payload": {"type": kind, **fields}}


def message(role: str, text: str) -> Item:
    """A message as the model sees it."""
    part = {"type": "input_text" if role == "user" else "output_text", "text": text}
    return {
        "type": "response_item",
        "payload": {"type": "message", "role": role, "content": [part]},
    }


def said(mode: str, thread_id: str, turn_id: str, text: str) -> Item:
    """What a user says, as readers of ``mode`` want it."""
    if mode != PAGINATED:
        return event("user_message", message=text, images=[], local_images=[], text_elements=[])
    part = {"type": "text", "text": text, "text_elements": []}
    item = {"type": "UserMessage", "id": f"user-{turn_id}", "content": [part]}
    ids = {"thread_id": thread_id, "turn_id": turn_id}
    return event("item_completed", **ids, item=item, completed_at_ms=1_790_000_000_000)


def answered(mode: str, thread_id: str, turn_id: str, text: str) -> Item:
    """What the agent answers."""
    if mode != PAGINATED:
        return event("agent_message", message=text)
    item = {
        "type": "AgentMessage",
        "id": f"agent-{turn_id}",
        "content": [{"type": "Text", "text": text}],
    }
    ids = {"thread_id": thread_id, "turn_id": turn_id}
    return event("item_completed", **ids, item=item, completed_at_ms=1_790_000_001_000)


def turn(mode: str, thread_id: str, number: int, question: str, answer: str) -> list[Item]:
    """A whole turn."""
    turn_id = f"01a14000-0000-7000-8000-{number:012x}"
    return [
        event("task_started", turn_id=turn_id, started_at=1_790_000_000, model_context_window=None),
        message("user", question),
        said(mode, thread_id, turn_id, question),
        answered(mode, thread_id, turn_id, answer),
        message("assistant", answer),
        event(
            "task_complete",
            turn_id=turn_id,
            last_agent_message=answer,
            completed_at=1_790_000_001,
            duration_ms=1000,
        ),
    ]
