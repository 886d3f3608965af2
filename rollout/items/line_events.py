"""Which lines Codex 0.171 reads, and what it reads in them: the turns of a legacy thread depend on
their number (docs/rollout-format.md#turns-of-legacy-threads)."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from rollout.items.legacy import EVENT_BUILDERS
from rollout.items.thread_item import completed_item, event_item, turn_error
from rollout.jsonl.parse import Item
from rollout.schema.kinds import Level, known
from rollout.schema.modes import MODES
from rollout.schema.strict import (
    U64,
    Fields,
    Unfit,
    array,
    default,
    integer,
    member,
    obj,
    optional,
    same,
    text,
    uuid,
)

STARTED: Final = ("task_started", "turn_started")
COMPLETE: Final = ("task_complete", "turn_complete")
ABORTED: Final = "turn_aborted"
ROLLED_BACK: Final = "thread_rolled_back"
ITEM: Final = "item_completed"

_LINES: Final = known(Level.LINE)
_EVENTS: Final = known(Level.EVENT)
RESPONSES: Final = known(Level.RESPONSE)
_HISTORY_MODES: Final = same(*MODES)
_SOURCE_OBJECTS: Final = ("custom", "subagent", "internal")
_APPROVALS: Final = same("untrusted", "on-failure", "on-request", "never")
_SANDBOXES: Final = same("danger-full-access", "read-only", "external-sandbox", "workspace-write")
_PROFILES: Final = same("disabled", "managed", "external")
_SUMMARIES: Final = same("auto", "concise", "detailed", "none")
_MODES: Final = same("plan", "code", "pair_programming", "execute", "custom", "default")
_REASONS: Final = same("interrupted", "replaced", "review_ended", "budget_limited")


class TurnEvent(NamedTuple):
    """The beginning or end of a turn."""

    turn_id: str | None
    root_id: str | None
    error: Fields | None
    started_at: int | None
    completed_at: int | None
    duration_ms: int | None


class ParsedEvent(NamedTuple):
    """A line that Codex reads."""

    kind: str
    """The type of an event, with the present name if it has two, or that of another line."""
    payload: Fields
    item: Fields | None = None
    """The item that the line is, if it is one in some mode."""
    turn: TurnEvent | None = None
    """The turn event, if the line begins or ends a turn."""


def parse_event(line: Item) -> ParsedEvent | None:
    """What Codex reads in a line; None if it passes over it.

    Reducers skip some lines by their first bytes, response items above all. Of these, only what
    the patterns see is checked here: a line counts the same whether it was skipped or not.
    """
    kind, payload = line.get("type"), line.get("payload")
    if not isinstance(kind, str) or kind not in _LINES or not isinstance(payload, dict):
        return None
    if not isinstance(line.get("timestamp"), str):
        return None
    try:
        if line.get("ordinal") is not None:
            _ordinal(line["ordinal"])
        if kind == "event_msg":
            return _event(payload)
        if kind == "response_item":
            # Also one that has a ghost_snapshot in it counts for nothing.
            return ParsedEvent(kind, payload) if text(payload.get("type")) in RESPONSES else None
        if check := _CHECKS.get(kind):
            check(payload)
    except Unfit:
        return None
    return ParsedEvent(kind, payload)


def _event(payload: Fields) -> ParsedEvent | None:
    kind = text(payload.get("type"))
    if kind in EVENT_BUILDERS:
        item = event_item(payload)
        return None if item is None else ParsedEvent(kind, payload, item)
    if kind == ITEM:
        item = completed_item(payload)
        return None if item is None else ParsedEvent(kind, payload, item)
    if kind in STARTED:
        return ParsedEvent(STARTED[0], payload, turn=_started(payload))
    if kind in COMPLETE:
        text(payload.get("turn_id"))
        optional(payload.get("last_agent_message"), text)
        optional(payload.get("time_to_first_token_ms"), integer)
        return ParsedEvent(COMPLETE[0], payload, turn=_turn_event(payload))
    if kind == ABORTED:
        member(payload.get("reason"), _REASONS)
        return ParsedEvent(kind, payload, turn=_turn_event(payload))
    if kind == ROLLED_BACK:
        integer(payload.get("num_turns"), (0, 2**32 - 1))
        return ParsedEvent(kind, payload)
    return ParsedEvent(kind, payload) if kind in _EVENTS else None


def _started(payload: Fields) -> TurnEvent:
    turn_id = text(payload.get("turn_id"))
    root_id = optional(payload.get("root_turn_id"), text)
    started_at = optional(payload.get("started_at"), integer)
    optional(payload.get("trace_id"), text)
    optional(payload.get("model_context_window"), integer)
    optional(payload.get("turn_attribution"), obj)
    default(payload, "collaboration_mode_kind", lambda value: member(value, _MODES), "default")
    return TurnEvent(turn_id, root_id, None, started_at, None, None)


def _turn_event(payload: Fields) -> TurnEvent:
    return TurnEvent(
        optional(payload.get("turn_id"), text),
        optional(payload.get("root_turn_id"), text),
        optional(payload.get("error"), turn_error),
        optional(payload.get("started_at"), integer),
        optional(payload.get("completed_at"), integer),
        optional(payload.get("duration_ms"), integer),
    )


def _turn_context(payload: Fields) -> None:
    if not text(payload.get("cwd")).startswith("/"):
        raise Unfit
    text(payload.get("model"))
    if isinstance(payload.get("approval_policy"), dict):
        if not obj(payload["approval_policy"].get("granular")):
            raise Unfit
    else:
        member(payload.get("approval_policy"), _APPROVALS)
    profile, policy = payload.get("permission_profile"), payload.get("sandbox_policy")
    if profile is None or policy is not None:
        member(obj(policy).get("type"), _SANDBOXES)  # up to 0.57 it is called mode
    if profile is not None:
        member(obj(profile).get("type"), _PROFILES)
    for name in ("turn_id", "effort"):
        optional(payload.get(name), text)
    optional(payload.get("collaboration_mode"), obj)
    optional(payload.get("summary"), lambda value: member(value, _SUMMARIES))


def _session_meta(payload: Fields) -> None:
    uuid(payload.get("id"))
    for name in ("timestamp", "cwd", "originator", "cli_version"):
        text(payload.get(name))
    for name in ("thread_source", "agent_nickname", "model_provider", "memory_mode"):
        optional(payload.get(name), text)
    for name in ("git", "base_instructions", "history_base"):
        optional(payload.get(name), obj)
    optional(payload.get("dynamic_tools"), array)
    optional(payload.get("session_id"), uuid)
    optional(payload.get("subagent_history_start_ordinal"), _ordinal)
    default(payload, "history_mode", lambda value: member(value, _HISTORY_MODES), "legacy")
    source = payload.get("source")
    if isinstance(source, dict) and source.keys().isdisjoint(_SOURCE_OBJECTS):
        raise Unfit


def _compacted(payload: Fields) -> None:
    text(payload.get("message"))
    for each in optional(payload.get("replacement_history"), array) or ():
        obj(each)


_CHECKS: Final[dict[str, Callable[[Fields], None]]] = {
    "session_meta": _session_meta,
    "turn_context": _turn_context,
    "compacted": _compacted,
}


def _ordinal(value: object) -> Any:
    return integer(value, U64)
