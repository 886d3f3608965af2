"""The kinds of lines that Codex writes, each in one row, and the patterns by which readers pass
over lines that they do not need.

A kind is the ``type`` of a line, of an event, of a response item or of an item of a turn. Every
reader takes its list of kinds from the table, so that a new kind is one row here, and code in those
readers that the row names. The names are all that 0.169 and 0.171 print when they meet another one,
and what older versions wrote besides.
"""

import re
from collections.abc import Iterator
from enum import Enum, Flag, auto
from functools import cache
from typing import Any, Final, NamedTuple


class Level(Enum):
    """Of what a kind is the type."""

    LINE = "line"
    EVENT = "event"
    RESPONSE = "response"
    ITEM = "item"


class Kept(Enum):
    """Which threads keep lines of a kind in their files."""

    ALWAYS = "always"
    LEGACY = "legacy"
    PAGINATED = "paginated"
    EXTENDED = "extended"
    """Legacy threads of a client that asked for more, up to about 0.12x."""
    NEVER = "never"


class Reader(Flag):
    """Who looks into lines of a kind; everybody else passes over them."""

    METADATA = auto()
    """:mod:`rollout.metadata`: the metadata of a row."""
    USAGE = auto()
    """:mod:`rollout.usage`: the tokens that were used; in the same pass as the metadata."""
    ITEMS = auto()
    """:mod:`rollout.items`: what a client is shown."""
    LEGACY = auto()
    """:mod:`rollout.turns.legacy`: turns, which depend on how many lines can be read."""
    PAGINATED = auto()
    """:mod:`rollout.turns.paginated`: turns."""
    MESSAGES = auto()
    """:mod:`rollout.search.extract`: the messages of users and agents."""
    CONTEXT = auto()
    """:mod:`rollout.history.model_context`: what a model is shown."""
    CALLS = auto()
    """:mod:`rollout.history.tool_calls`: what tools were asked for and gave."""
    REALTIME = auto()
    """:mod:`rollout.items.realtime`: voice sessions."""


class Kind(NamedTuple):
    """One row."""

    level: Level
    name: str
    kept: Kept
    since: str
    """The first version that was seen to write it; ``?`` where none was, ``old`` of what today's
    Codex cannot read."""
    readers: Reader


_TABLE: Final = """
line     response_item                      always    0.36  metadata legacy paginated context calls
line     event_msg                          always    0.36  metadata usage legacy paginated messages calls
line     session_meta                       always    0.36  metadata usage legacy paginated messages
line     turn_context                       always    0.36  metadata usage legacy paginated
line     compacted                          always    ?     legacy context
line     world_state                        always    0.145
line     token_usage_record                 always    0.153   usage
line     dynamic_tools_updated              always    ?     legacy paginated
line     inter_agent_communication          always    ?     legacy paginated
line     inter_agent_communication_metadata always    ?     legacy paginated
line     retained_context                   always    ?     legacy paginated
line     security_risk_score                always    ?     legacy paginated
line     realtime_item                      paginated ?     realtime

event    task_started                       always    0.104 metadata usage legacy paginated calls
event    turn_started                       always    ?     metadata usage legacy paginated calls
event    task_complete                      always    0.104 usage legacy paginated
event    turn_complete                      always    ?     usage legacy paginated
event    turn_aborted                       always    ?     usage legacy paginated
event    token_count                        always    0.36  metadata usage
event    thread_goal_updated                always    ?     metadata legacy paginated
event    thread_rolled_back                 always    ?     legacy paginated messages
event    thread_settings_applied            always    0.166 metadata usage legacy paginated
event    item_completed                     always    0.148 metadata legacy paginated messages
event    user_message                       legacy    0.36  metadata items legacy messages calls
event    agent_message                      legacy    0.36  metadata items legacy messages
event    agent_reasoning                    legacy    0.36  items legacy
event    agent_reasoning_raw_content        legacy    ?     items legacy
event    patch_apply_end                    legacy    ?     items legacy calls
event    mcp_tool_call_end                  legacy    ?     items legacy calls
event    web_search_end                     legacy    ?     items legacy calls
event    image_generation_end               legacy    ?     items legacy calls
event    context_compacted                  legacy    ?     items legacy
event    entered_review_mode                legacy    ?     usage items legacy
event    exited_review_mode                 legacy    ?     usage items legacy
event    sub_agent_activity                 legacy    ?     items legacy
event    thread_name_updated                legacy    old   metadata legacy
event    undo_completed                     legacy    old   legacy
event    error                              extended  ?     legacy
event    guardian_assessment                extended  ?     legacy
event    exec_command_end                   extended  ?     legacy calls
event    view_image_tool_call               extended  ?     legacy calls
event    dynamic_tool_call_request          extended  ?     legacy calls
event    dynamic_tool_call_response         extended  ?     legacy calls
event    collab_agent_spawn_end             extended  ?     legacy calls
event    collab_agent_interaction_end       extended  ?     legacy calls
event    collab_waiting_end                 extended  ?     legacy calls
event    collab_close_end                   extended  ?     legacy calls
event    collab_resume_end                  extended  ?     legacy calls
event    exec_command_begin                 never     ?     calls
event    patch_apply_begin                  never     ?     calls
event    mcp_tool_call_begin                never     ?     calls
event    web_search_begin                   never     ?     calls
event    image_generation_begin             never     ?     calls
event    collab_agent_spawn_begin           never     ?     calls
event    collab_agent_interaction_begin     never     ?     calls
event    collab_waiting_begin               never     ?     calls
event    collab_close_begin                 never     ?     calls
event    collab_resume_begin                never     ?     calls
event    background_event                   never     old
event    undo_started                       never     old

response message                            always    0.36  metadata legacy context
response agent_message                      always    ?     context
response reasoning                          always    0.36  context
response local_shell_call                   always    ?     context calls
response function_call                      always    0.36  context calls
response function_call_output               always    0.36  context calls
response tool_search_call                   always    ?     context calls
response tool_search_output                 always    ?     context calls
response custom_tool_call                   always    ?     context calls
response custom_tool_call_output            always    ?     context calls
response web_search_call                    always    ?     context calls
response image_generation_call              always    ?     context calls
response compaction                         always    ?     context
response compaction_summary                 always    ?     context
response context_compaction                 always    ?     context
response additional_tools                   always    ?     context
response configuration_update               always    ?     context
response ghost_snapshot                     always    old   legacy paginated

item     UserMessage                        paginated 0.148 metadata items messages
item     AgentMessage                       paginated 0.148 metadata items messages
item     Plan                               always    ?     items
item     Reasoning                          paginated 0.148 items
item     CommandExecution                   paginated 0.148 items
item     FileChange                         paginated 0.148 items
item     McpToolCall                        paginated 0.148 items
item     DynamicToolCall                    paginated ?     items
item     CollabAgentToolCall                paginated ?     items
item     SubAgentActivity                   paginated ?     items
item     WebSearch                          paginated ?     items
item     ImageView                          paginated ?     items
item     ImageGeneration                    paginated ?     items
item     Extension                          paginated ?     items
item     FunctionCallOutput                 always    ?     items
item     HookPrompt                         paginated ?     items
item     EnteredReviewMode                  paginated ?     items
item     ExitedReviewMode                   paginated ?     items
item     ContextCompaction                  paginated ?     items
"""  # noqa: E501
"""Level, name, where it is kept, since when, and who reads it."""
_EVENTS_IN_NO_FILE: Final = """
agent_message_content_delta agent_reasoning_section_break apply_patch_approval_request
auth_recovery_completed auth_recovery_started deprecation_notice elicitation_abandoned
elicitation_request environment_connected environment_disconnected exec_approval_request
exec_command_output_delta guardian_warning hook_completed hook_started item_started
mcp_startup_complete mcp_startup_update model_reroute model_verification patch_apply_updated
plan_delta plan_update raw_response_completed raw_response_item realtime_conversation_closed
realtime_conversation_list_voices_response realtime_conversation_realtime realtime_conversation_sdp
realtime_conversation_started reasoning_content_delta reasoning_raw_content_delta
request_permissions request_user_input safety_buffering session_configured shutdown_complete
stream_error terminal_interaction thread_queue_changed turn_diff turn_moderation_metadata warning
"""
"""Events that Codex sends and never keeps, and that nobody reads."""


def _rows() -> Iterator[Kind]:
    for row in filter(None, _TABLE.splitlines()):
        level, name, kept, since, *readers = row.split()
        found = Reader(0)
        for reader in readers:
            found |= Reader[reader.upper()]
        yield Kind(Level(level), name, Kept(kept), since, found)
    for name in _EVENTS_IN_NO_FILE.split():
        yield Kind(Level.EVENT, name, Kept.NEVER, "?", Reader(0))


KINDS: Final = tuple(_rows())


def read_by(reader: Reader, level: Level) -> tuple[str, ...]:
    """The kinds of a level that a reader looks into."""
    return tuple(kind.name for kind in KINDS if kind.level is level and reader in kind.readers)


def passed_by(reader: Reader, level: Level, *kept: Kept) -> tuple[str, ...]:
    """The kinds of a level that a reader passes over, of those that files have: all, or those that
    are ``kept`` so."""
    return tuple(
        kind.name
        for kind in KINDS
        if kind.level is level and kind.kept in (kept or _IN_FILES) and not reader & kind.readers
    )


_IN_FILES: Final = {*Kept} - {Kept.NEVER}


def known(level: Level) -> frozenset[str]:
    """The kinds of a level that today's Codex can read."""
    return frozenset(kind.name for kind in KINDS if kind.level is level and kind.since != "old")


def kept_as(level: Level) -> dict[str, Kept]:
    """Where each kind of a level is kept."""
    return {kind.name: kind.kept for kind in KINDS if kind.level is level}


_LEGACY_ITEMS: Final = frozenset(
    name for name, kept in kept_as(Level.ITEM).items() if kept is Kept.ALWAYS
)


def is_legacy_item(item: Any) -> bool:
    """Whether a legacy thread keeps an ``item_completed`` with this item: it has events for most
    others."""
    match item:
        case {"type": "Extension", "kind": "clock.sleep"}:
            return True
        case {"type": "SubAgentActivity", "kind": "completed"}:
            return True
        case {"type": str(kind)}:
            return kind in _LEGACY_ITEMS
    return False


REQUEST_MARKER: Final = "## My request for Codex:"
"""What a user wrote comes behind it, if an editor has put something in front."""
_BY_PROGRAMS: Final = (
    "<environment_context>",
    "<user_instructions>",
    "<permissions instructions>",
    "<turn_aborted>",
    "# AGENTS.md instructions",
)
"""How texts begin that a program sends in a user's name."""


def is_typed(text: str) -> bool:
    """Whether a user may have typed a message of the role ``user``, and no program has sent it."""
    return not text.lstrip().startswith(_BY_PROGRAMS)


# -- patterns of lines, see rollout.jsonl.reader.LineFilter -----------------------------------

COUNTED: Final = r'(?:"ordinal":(?P<counted>\d{1,19}),)?'
"""An ordinal, if there is one: the reader keeps the highest."""
NUMBERED: Final = r'"ordinal":(?P<counted>\d{1,19}),'
"""An ordinal: lines without one do not match."""
PLAIN: Final = r'(?:"ordinal":\d{1,19},)?'
"""An ordinal, if there is one, that nobody asks for."""


def line_pattern(types: str, ordinal: str = COUNTED) -> re.Pattern[bytes]:
    """Matches lines by their first bytes; ``types`` is a pattern of what follows ``"type":"``.

    Since 0.36 every Codex writes ``{"timestamp":"2026-10-15T07:00:08.296Z",`` and then, in
    paginated files, ``"ordinal":8,``, before the type. Whatever the 24 characters are, no object
    begins in them, so the type is that of the line. What is spelt otherwise does not match.
    """
    return re.compile(rf'\{{"timestamp":"[^{{]{{24}}",{ordinal}"type":"(?:{types})'.encode())


@cache
def both(one: re.Pattern[bytes], other: re.Pattern[bytes]) -> re.Pattern[bytes]:
    """Matches, and counts, the lines that two patterns of :func:`line_pattern` match. The ordinal
    is where ``one`` has it; ``other`` does not ask for more of it."""
    start, types = one.pattern.split(_TYPE, 1)
    others = re.sub(rb"\(\?P<\w+>", b"(?:", other.pattern.split(_TYPE, 1)[1])
    return re.compile(b"%s%s(?=%s)%s(?P<both>)" % (start, _TYPE, others, types))


_TYPE: Final = b'"type":"'


def any_of(*names: str) -> str:
    """A pattern of the rest of a string that is one of some names, and of its closing quote."""
    return rf'(?:{"|".join(names)})"'


def none_of(*names: str) -> str:
    """A pattern that matches, without taking any of it, where the rest of a string is not one of
    some names."""
    return f"(?!{any_of(*names)})"


def payload_type(line: str, types: str) -> str:
    """A pattern, for :func:`line_pattern`, of lines of a type whose payload's type matches."""
    return rf'{line}","payload":\{{"type":"{types}'


PROMPTS_BY_PROGRAMS: Final = "|".join(map(re.escape, _BY_PROGRAMS))
"""A pattern of how texts begin that no user has typed."""

TOKEN_COUNT: Final = payload_type("event_msg", r'token_count","info":(?:null|\{)')
"""A pattern, for :func:`line_pattern`, of lines with the tokens used."""


def lines_without(kind: str) -> re.Pattern[bytes]:
    """Matches lines whose first bytes do not name a kind."""
    return re.compile(rf'(?!.{{0,300}}"{kind}")'.encode())
