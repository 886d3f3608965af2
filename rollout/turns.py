"""Where the turns of a thread begin and end, for who wants to cut it (rollout-format §14, §15).

Only boundaries are found here, not what is in a turn. A thread may go through several files, each
the base of the next (§13.2); the first is counted 0.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from rollout.persistence import Item

STARTED: Final = ("task_started", "turn_started")
COMPLETE: Final = ("task_complete", "turn_complete")
ABORTED: Final = "turn_aborted"

_OUTER: Final = frozenset(
    {
        *("session_meta", "turn_context", "event_msg", "response_item", "compacted", "world_state"),
        *("token_usage_record", "dynamic_tools_updated", "inter_agent_communication"),
        *("inter_agent_communication_metadata", "retained_context", "security_risk_score"),
        "realtime_item",
    }
)
_EVENT: Final = re.compile(
    r"(?:task|turn)_(?:started|complete)|turn_aborted|token_count|thread_(?:goal_updated|rolled_back"
    r"|settings_applied|queue_changed)|item_(?:started|completed)|user_message|agent_\w+"
    r"|(?:patch_apply|mcp_tool_call|web_search|image_generation|exec_command|exec_approval"
    r"|dynamic_tool_call|elicitation|realtime_conversation|auth_recovery|guardian|environment"
    r"|mcp_startup|raw_response|hook|collab|request|model)_\w+|context_compacted"
    r"|(?:entered|exited)_review_mode|sub_agent_activity|error|warning|turn_moderation_metadata"
    r"|safety_buffering|session_configured|terminal_interaction|view_image_tool_call"
    r"|apply_patch_approval_request|deprecation_notice|stream_error|turn_diff|plan_update"
    r"|shutdown_complete|\w+_delta"
)
_LEGACY_ITEMS: Final = frozenset(
    {
        *("mcp_tool_call_end", "patch_apply_end", "web_search_end", "image_generation_end"),
        *("context_compacted", "entered_review_mode", "exited_review_mode", "sub_agent_activity"),
    }
)
_LEGACY_TEXTS: Final = {
    "agent_message": "message",
    "agent_reasoning": "text",
    "agent_reasoning_raw_content": "text",
}


class Place(NamedTuple):
    """Between two lines of a thread. Earlier ones are less."""

    file: int
    """Which of the thread's files."""
    offset: int
    """Bytes of that file's content before it."""
    ordinal: int
    """The first ordinal that may stand behind it; 0 in legacy files."""


@dataclass(slots=True)
class Turn:
    """One turn that the thread's history has."""

    id: str
    start: Place
    explicit: bool
    """Whether its beginning is written down; else the id is made up (§14.1) or it only has an
    end."""
    root_id: str | None = None
    started_at: int | None = None
    end: Place | None = None
    """Behind the line that ends it; None if there is none."""


class Turns(Protocol):
    """Finds turns, line by line."""

    turns: list[Turn]

    def take(self, item: Item, before: Place, after: Place) -> None:
        """Look at the next line that can be read, and the places on both sides of it."""
        ...

    def behind(self, turn: Turn) -> Place | None:
        """Where a history through ``turn`` ends; None if that is the end of the thread."""
        ...


class LegacyTurns:
    """Turns of a legacy thread, with Codex's ids (§14.1 to §14.4)."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._current: Turn | None = None
        self._compacting = False
        """Whether the current turn, an implicit one, holds only compaction so far."""
        self._starts: list[Place] = []
        """Of all turns there ever were."""
        self._index = -1
        self._prompt: Place | None = None
        """Where the lines began that belong to a user's message that follows them."""

    def take(self, item: Item, before: Place, after: Place) -> None:
        if not understood(item):
            return
        payload = item["payload"]
        kind = item["type"]
        if payload.get("type") != "ghost_snapshot":
            self._index += 1
        if kind == "event_msg":
            self._event(str(payload.get("type")), payload, before, after)
        if kind == "turn_context" or (
            kind == "response_item" and payload.get("role") in ("user", "developer")
        ):
            self._prompt = self._prompt or before
        else:
            self._prompt = None

    def behind(self, turn: Turn) -> Place | None:
        return next((start for start in self._starts if start > turn.start), None)

    def _event(self, kind: str, payload: dict[str, Any], before: Place, after: Place) -> None:
        if kind in STARTED:
            self._open(_explicit(payload, before))
        elif kind in COMPLETE:
            turn = self._named(payload.get("turn_id")) or self._current
            if turn:
                turn.end = turn.end or after
            if turn is self._current:
                self._current = None
        elif kind == ABORTED:
            named = payload.get("turn_id")
            turn = self._named(named) if named else self._current
            if turn:
                turn.end = turn.end or after
            self._current = None
        elif kind == "thread_rolled_back":
            count = payload.get("num_turns")
            if isinstance(count, int) and count > 0:
                del self.turns[-count:]
            self._current = None
        elif kind == "user_message":
            if self._current is None or not (self._current.explicit or self._compacting):
                self._open_implicit(before)
            self._compacting = False
        elif _is_item(kind, payload):
            if self._current is None:
                self._open_implicit(before, payload.get("turn_id"))
                self._compacting = kind == "context_compacted"
            elif kind != "context_compacted":
                self._compacting = False

    def _named(self, turn_id: object) -> Turn | None:
        return next((turn for turn in reversed(self.turns) if turn.id == turn_id), None)

    def _open_implicit(self, before: Place, turn_id: object = None) -> None:
        name = turn_id if isinstance(turn_id, str) else f"rollout-{self._index}"
        # What was sent with the message stands before it, and goes where it goes.
        self._open(Turn(name, self._prompt or before, explicit=False))

    def _open(self, turn: Turn) -> None:
        self._current = turn
        self._compacting = False
        self._starts.append(turn.start)
        self.turns.append(turn)


class PaginatedTurns:
    """Turns of a paginated thread (§15.2)."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._known: dict[str, Turn] = {}

    def take(self, item: Item, before: Place, after: Place) -> None:
        payload = item.get("payload")
        if item.get("type") != "event_msg" or not isinstance(payload, dict):
            return
        kind, turn_id = payload.get("type"), payload.get("turn_id")
        ends = kind in COMPLETE or kind == ABORTED
        if not isinstance(turn_id, str) or not (ends or kind in STARTED):
            return
        turn = self._known.get(turn_id)
        if turn is None:
            turn = Turn(turn_id, before, explicit=False) if ends else _explicit(payload, before)
            self._known[turn_id] = turn
            self.turns.append(turn)
        if ends:
            turn.end = turn.end or after

    def behind(self, turn: Turn) -> Place | None:
        return turn.end


def _explicit(payload: dict[str, Any], before: Place) -> Turn:
    root, started = payload.get("root_turn_id"), payload.get("started_at")
    return Turn(
        str(payload.get("turn_id")),
        before,
        explicit=True,
        root_id=root if isinstance(root, str) else None,
        started_at=started if isinstance(started, int) else None,
    )


def _is_item(kind: str, payload: dict[str, Any]) -> bool:
    """Whether an event of a legacy file makes an item of a turn (§14.5)."""
    if kind in _LEGACY_TEXTS:
        return bool(payload.get(_LEGACY_TEXTS[kind]))
    if kind == "item_completed":
        match payload.get("item"):
            case {"type": "Plan" | "FunctionCallOutput"}:
                return True
            case {"type": "Extension", "kind": "clock.sleep"}:
                return True
            case {"type": "SubAgentActivity", "kind": "completed"}:
                return True
        return False
    return kind in _LEGACY_ITEMS


def understood(item: Item) -> bool:
    """Whether Codex 0.169 reads this line: those that it does not read are not counted (§14.1)."""
    kind, payload = item.get("type"), item.get("payload")
    if kind not in _OUTER or not isinstance(payload, dict):
        return False
    if not isinstance(item.get("timestamp"), str):
        return False
    if kind == "event_msg":
        event = payload.get("type")
        return isinstance(event, str) and _EVENT.fullmatch(event) is not None
    if kind == "turn_context":
        policy = payload.get("sandbox_policy")
        described = "permission_profile" in payload or (
            isinstance(policy, dict) and "type" in policy  # up to 0.57 it is called mode (§4.1)
        )
        return described and {"cwd", "approval_policy", "model"} <= payload.keys()
    return True
