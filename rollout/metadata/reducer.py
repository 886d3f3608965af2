"""From lines to the facts about a thread: ``apply`` the lines in order.

The rules are those of docs/rollout-format.md#metadata; where Codex's reader is stricter than
it need be, the fact is kept. ``skip`` matches the first bytes of lines that change nothing
(docs/rollout-format.md#what-can-be-skipped). It must never be wrong about that, and need not find
them all.

Every rule is *first wins*, *last wins* or *greatest wins*, so applying a line twice in a row
changes nothing, and a fold can go on from the facts of a stored row.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from rollout.files.layout import RolloutName, name_time_ms, parse_uuid
from rollout.jsonl.parse import BadLine, Line, compact_json, parse_line
from rollout.metadata.model import (
    LONGEST_TEXT,
    SEEN_BARE_META,
    SEEN_META,
    SEEN_PROVIDER,
    ThreadMetadata,
    ToolMetadata,
)
from rollout.schema import payloads as models
from rollout.schema.modes import PAGINATED
from rollout.schema.payloads import NOT_FROM_USERS, read_payload
from rollout.schema.permissions import READ_ONLY, permission_profile
from rollout.schema.session_source import stored_source, thread_spawn
from rollout.schema.times import time_ms

SEEN_START: Final = 8  # the start of a turn was folded
SEEN_PROMPT: Final = 16  # a user_message was folded: turns begin with those where no start is told
BEGINS_ELSEWHERE: Final = 32
"""No message is in this file: what the thread begins with is in another one. A fold never sets
it; see :mod:`state.sync.openings`."""


_REQUEST_MARKER = "## My request for Codex:"
_MAX_INTEGER = 2**63 - 1


_DEFAULT_POLICY = compact_json(READ_ONLY) or ""


class _Needs(NamedTuple):
    """What a fold still needs of a file, so that lines are passed over."""

    prompts: bool = True
    """Messages of users, or of an agent."""
    preview: bool = True
    fallback: bool = True
    """What response items say, in a file that may have nothing else."""
    starts: bool = True
    """``user_message`` events, as long as nothing else tells where turns start."""
    numbered: bool = False
    """Lines without an ordinal, in a paginated file."""


@cache
def _skip_pattern(needs: _Needs) -> "re.Pattern[bytes]":
    """Matches lines that change nothing.

    Since 0.36 every Codex writes {"timestamp":"2026-10-15T07:00:08.296Z", and then, in
    paginated files, "ordinal":8, before the type. Anything else is parsed. Whatever the
    24 characters are, no object begins in them, so the type is that of the line.
    """
    kinds = (
        "token_usage_record|world_state|compacted|dynamic_tools_updated"
        "|inter_agent_communication(?:_metadata)?|retained_context|security_risk_score"
        "|realtime_item"
    )
    events = (
        "agent_reasoning(?:_raw_content)?|exec_command_end|patch_apply_end|mcp_tool_call_end"
        "|web_search_end|image_generation_end|task_complete"
        "|turn_complete|turn_aborted|context_compacted|thread_rolled_back|sub_agent_activity"
        "|(?:entered|exited)_review_mode|error"
    )
    items = ""
    if needs.prompts:
        # The whole name is asked for, as the lookahead alone is content with an end inside of it.
        items = rf'|{_ITEM_START}(?!UserMessage"|AgentMessage")[A-Za-z]+"'
    else:
        events += "|agent_message|item_completed"
        events += "" if needs.starts else "|user_message"
    if not needs.preview:
        events += "|thread_goal_updated"
    response = (
        r'response_item","payload":\{"type":"(?:(?!message")[a-z_]+"'
        r'|message",(?:"id":"[^"\\]*",)?"role":"(?:(?!user"|assistant")[a-z]+"'
        rf'|user","content":\[\{{"type":"input_text","text":"(?:{_PROGRAMS})))'
    )
    if not needs.fallback:
        response, kinds = "", f"response_item|{kinds}"
    return re.compile(
        rb'\{"timestamp":"[^{]{24}",(?:"ordinal":(?P<counted>\d{1,18}),)%s"type":"(?:(?:%s)",%s'
        rb'|event_msg","payload":\{"type":"(?:token_count",(?:"info":null|("info":\{))'
        rb'|(?:%s)"%s))'
        % (
            b"" if needs.numbered else b"?",
            kinds.encode(),
            f"|{response}".encode() if response else b"",
            events.encode(),
            items.encode(),
        )
    )


_PROGRAMS = "|".join(map(re.escape, NOT_FROM_USERS))
_ITEM_START = r'item_completed","thread_id":"[^"\\]*","turn_id":"[^"\\]*","item":\{"type":"'


class MetadataReducer:
    """Folds the lines of one rollout into :class:`ThreadMetadata`.

    With the ``metadata`` of an earlier pass it goes on where that one ended. Of prompts, sources
    and
    policies, which have no limit in the file, ``longest`` characters are kept; None keeps all.
    """

    skip: "re.Pattern[bytes]"
    """Matches the beginnings of lines for which :meth:`apply` has no use."""

    def __init__(self, metadata: ThreadMetadata, longest: int | None = LONGEST_TEXT) -> None:
        self.metadata = metadata
        self._longest = longest
        self.tools: list[ToolMetadata] | None = None
        """Dynamic tools, if this fold saw the session_meta that gives them."""
        self.bad_lines = 0
        self.first_bad: BadLine | None = None
        self.usable_lines = 0
        self.left_out = 0
        """Lines of a paginated file whose ordinal does not follow: they are in no turn."""
        self.left_out_at: int | None = None
        """Where the first of them is."""
        self._tokens_at = -1  # where the last usable token_count applied line by line stands
        self._note_needs()

    def _note_needs(self) -> None:
        facts = self.metadata
        self._needs_prompt = not (facts.title and facts.first_user_message)
        self._needs_preview = not facts.preview
        self._needs_agent = not facts.preview and not facts.fallback_preview
        self._needs_starts = not facts.flags & SEEN_START
        paginated = facts.history_mode == PAGINATED
        # Response items are shown, and so are a preview, only where the history is legacy.
        self._needs_responses = self._needs_agent and not paginated
        self.skip = _skip_pattern(
            _Needs(
                prompts=self._needs_prompt or self._needs_agent,
                preview=self._needs_preview,
                fallback=self._needs_responses,
                starts=self._needs_starts,
                numbered=paginated,
            )
        )

    def apply(self, line: Line | BadLine) -> bool:
        """Fold one line; False if it is blank or unreadable."""
        if isinstance(line, Line):
            value = parse_line(line)
            if value is None:
                return False
        else:
            value = line
        if isinstance(value, dict):
            problem = self._apply_object(value, line.offset)
            if problem is None:
                self.usable_lines += 1
                self._number(value.get("ordinal"), line.offset)
                return True
            value = BadLine(line.offset, problem)
        self.bad_lines += 1
        if self.first_bad is None:
            self.first_bad = value
        return False

    def pass_over(self, highest: int, behind: int, behind_at: int) -> None:
        """Note the ordinals of lines that were passed over: the ``highest`` so far, and how many
        were ``behind`` others, the first of them at ``behind_at``."""
        self.metadata.next_ordinal = max(self.metadata.next_ordinal, highest + 1)
        if behind:
            self._leave_out(behind, behind_at)

    def _number(self, ordinal: object, offset: int) -> None:
        facts = self.metadata
        if type(ordinal) is int and facts.next_ordinal <= ordinal < _MAX_INTEGER:
            facts.next_ordinal = ordinal + 1
        else:
            self._leave_out(1, offset)

    def _leave_out(self, count: int, offset: int) -> None:
        if self.metadata.history_mode == PAGINATED:
            self.left_out += count
            if self.left_out_at is None:
                self.left_out_at = offset

    def apply_latest(self, lines: Sequence[Line], seen: int) -> bool:
        """Fold the latest ``token_count`` lines, which the reader set apart out of ``seen``.

        Only the last usable one counts, so the others need no parsing. False: none of those
        kept was usable, so all lines must be applied.
        """
        self.usable_lines += bool(lines)
        for line in reversed(lines):
            if line.offset < self._tokens_at:
                return True
            value = parse_line(line)
            payload = value.get("payload") if isinstance(value, dict) else None
            if isinstance(payload, dict) and self._token_count(payload):
                return True
        return len(lines) == seen

    def _apply_object(self, value: dict[str, Any], offset: int) -> str | None:
        """What is wrong with the line, if anything."""
        kind = value.get("type")
        payload = value.get("payload")
        if "payload" not in value:
            return self._bare_line(value)
        if not isinstance(kind, str):
            return "no type in the envelope"
        if kind == "session_meta":
            meta = read_payload(models.SessionMeta, payload)
            if meta is None:
                return "session_meta without a payload object"
            self._session_meta(meta)
        elif kind == "turn_context":
            turn = read_payload(models.TurnContext, payload)
            if turn is None:
                return "turn_context without a payload object"
            self._turn_context(turn)
            if not self.metadata.flags & (SEEN_START | SEEN_PROMPT):
                self._starts(value)
        elif kind == "event_msg":
            if not isinstance(payload, dict):
                return "event_msg without a payload object"
            self._event(payload, offset)
            self._turn(payload.get("type"), value)
        elif kind == "response_item" and self._needs_responses:
            self._prompt(read_payload(models.ResponseMessage, payload))
        return None

    def _turn(self, kind: object, line: dict[str, Any]) -> None:
        """Note when a turn starts: with an event that says so since 0.101, before that with the
        user's message, and where there is neither, with its settings. Never earlier than one
        that was noted, as for Codex."""
        facts = self.metadata
        if kind in ("task_started", "turn_started"):
            self._starts(line)
            if self._needs_starts:
                facts.flags |= SEEN_START
                self._note_needs()
        elif kind == "user_message" and self._needs_starts:
            if not isinstance(line["payload"].get("message"), str):
                return
            facts.flags |= SEEN_PROMPT
            self._starts(line)
        elif kind == "thread_name_updated":
            self._name(line)

    def _starts(self, line: dict[str, Any]) -> None:
        at = _time_of(line)
        if at is not None:
            self.metadata.recency_at_ms = max(self.metadata.recency_at_ms, at)

    def _name(self, line: dict[str, Any]) -> None:
        event = read_payload(models.NameUpdate, line["payload"])
        name = event.thread_name if event else None
        if event is None or not name or not name.strip():
            return
        if event.thread_id is not None and parse_uuid(event.thread_id) != self.metadata.id:
            return  # copied by a fork
        self.metadata.rollout_name = _text(name.strip())
        self.metadata.rollout_name_ms = _time_of(line) or 0

    def _session_meta(self, meta: models.SessionMeta) -> None:
        facts = self.metadata
        if meta.memory_mode is not None:
            facts.memory_mode = _text(meta.memory_mode)  # of any id, the last one
        thread_id = parse_uuid(meta.id)
        if not facts.flags & SEEN_META:
            facts.flags |= SEEN_META
            facts.id = thread_id or facts.id
            created = time_ms(meta.timestamp)
            if created is not None:
                facts.created_at_ms = created
            facts.originator = _optional(meta.originator)
            facts.history_mode = _history_mode(meta)
            self._note_needs()
            facts.session_id = parse_uuid(meta.session_id) or facts.id
            facts.forked_from_id = parse_uuid(meta.forked_from_id)
            if meta.history_base is not None:
                facts.history_base = compact_json(meta.history_base)
            if meta.attached_thread:
                facts.attached_thread_parent_id = facts.forked_from_id
            self.tools = list(_tools(meta.dynamic_tools or ()))
        elif thread_id != facts.id:
            return  # copied by a fork
        facts.source = _text(stored_source(meta.source), self._longest)
        spawn = thread_spawn(facts.source) or {}
        facts.parent_thread_id = parse_uuid(meta.parent_thread_id) or parse_uuid(
            spawn.get("parent_thread_id")
        )
        facts.thread_source = _optional(meta.thread_source)
        facts.agent_nickname = _optional(meta.agent_nickname or spawn.get("agent_nickname"))
        facts.agent_role = _optional(meta.agent_role or meta.agent_type or spawn.get("agent_role"))
        facts.agent_path = _optional(meta.agent_path or spawn.get("agent_path"))
        if meta.model_provider:
            facts.model_provider = _text(meta.model_provider)
            facts.flags |= SEEN_PROVIDER
        if meta.cli_version is not None:
            facts.cli_version = _text(meta.cli_version)
        if meta.cwd:
            facts.cwd = _cwd(meta.cwd)
        if meta.git is not None:
            facts.git_sha = _optional(meta.git.commit_hash)
            facts.git_branch = _optional(meta.git.branch)
            facts.git_origin_url = _optional(meta.git.repository_url)

    def _turn_context(self, turn: models.TurnContext) -> None:
        facts = self.metadata
        if turn.cwd and not facts.cwd:
            facts.cwd = _cwd(turn.cwd)
        if turn.model is not None:
            facts.model = _optional(turn.model)
        facts.reasoning_effort = _optional(turn.effort)
        self._policies(turn, turn.cwd or facts.cwd)

    def _policies(self, line: models.TurnContext | models.ThreadSettings, cwd: str) -> None:
        if line.approval_policy is not None:
            policy = line.approval_policy
            if policy == "on-failure":
                policy = "on-request"  # as Codex reads it today
            self.metadata.approval_mode = _text(
                policy if isinstance(policy, str) else compact_json(policy)
            )
        profile = line.permission_profile
        if profile is None and line.sandbox_policy is not None:
            profile = permission_profile(line.sandbox_policy, cwd)
        if profile is not None:
            self.metadata.sandbox_policy = _text(compact_json(profile), self._longest)

    def _event(self, payload: dict[str, Any], offset: int) -> None:
        kind = payload.get("type")
        if kind == "token_count":
            if self._token_count(payload):
                self._tokens_at = offset
        elif kind == "user_message":
            event = read_payload(models.UserMessage, payload)
            if event is not None:
                pictures = bool(event.images or event.local_images)
                sound = bool(event.audio or event.local_audio)
                self._user_message(event.message or "", pictures=pictures, sound=sound)
        elif kind == "agent_message":
            if self._needs_agent:
                self._agent_message(payload.get("message"))
        elif kind == "item_completed":
            if self._needs_prompt or self._needs_agent:
                self._item(read_payload(models.TurnItem, payload.get("item")))
        elif kind == "thread_settings_applied":
            settings = read_payload(models.ThreadSettings, payload.get("thread_settings"))
            if settings is not None:
                self._settings(settings)
        elif kind == "thread_goal_updated" and self._needs_preview:
            goal = read_payload(models.Goal, payload.get("goal"))
            if goal is not None and goal.objective:
                self.metadata.preview = _text(goal.objective, self._longest)
                self.metadata.fallback_preview = ""
                self._note_needs()

    def _item(self, item: models.TurnItem | None) -> None:
        if item is None:
            return
        parts = item.content or []
        text = "".join(part.text or "" for part in parts if part.type.lower() == "text")
        if item.type == "UserMessage":
            kinds = {part.type for part in parts}
            self._user_message(
                text,
                pictures=not kinds.isdisjoint({"image", "local_image"}),
                sound=not kinds.isdisjoint({"audio", "local_audio", "skill", "mention"}),
            )
        elif item.type == "AgentMessage" and self._needs_agent:
            self._agent_message(text)

    def _user_message(self, message: str, *, pictures: bool, sound: bool) -> None:
        facts = self.metadata
        marker = message.find(_REQUEST_MARKER)
        if marker >= 0:
            message = message[marker + len(_REQUEST_MARKER) :]
        text = _text(message.strip(), self._longest)
        shown = text or ("[Image]" if pictures else "")
        if shown:
            facts.first_user_message = facts.first_user_message or shown
            facts.preview = facts.preview or shown
            facts.fallback_preview = ""
            facts.title = facts.title or text
        elif sound and self._needs_agent:
            facts.fallback_preview = "[Attachment]"
        self._note_needs()

    def _agent_message(self, message: object) -> None:
        if isinstance(message, str) and message.strip():
            self.metadata.fallback_preview = _text(message.strip())
            self._note_needs()

    def _settings(self, settings: models.ThreadSettings) -> None:
        facts = self.metadata
        if settings.cwd:
            facts.cwd = _cwd(settings.cwd)
        if settings.model is not None:
            facts.model = _optional(settings.model)
        if settings.model_provider_id:
            facts.model_provider = _text(settings.model_provider_id)
            facts.flags |= SEEN_PROVIDER
        facts.reasoning_effort = _optional(settings.reasoning_effort)
        self._policies(settings, facts.cwd)

    def _token_count(self, payload: dict[str, Any]) -> bool:
        info = read_payload(models.TokenInfo, payload.get("info"))
        usage = info.total_token_usage if info else None
        if usage is None or usage.total_tokens is None or usage.total_tokens != usage.total_tokens:
            return False
        self.metadata.tokens_used = int(min(max(usage.total_tokens, 0), _MAX_INTEGER))
        return True

    def _bare_line(self, value: dict[str, Any]) -> str | None:
        """A line of the bare era, up to 0.29: no envelope. Codex lists none of these."""
        flags = self.metadata.flags
        if not flags & SEEN_META and "type" not in value and "timestamp" in value:
            if parse_uuid(value.get("id")) is None:
                return "metadata without an id"
            meta = read_payload(models.SessionMeta, value)
            if meta is not None:
                self._session_meta(meta)
                self.metadata.flags |= SEEN_BARE_META
            return None
        if not flags & SEEN_BARE_META:
            return "no payload in the envelope"
        if value.get("type") == "message" and self._needs_prompt:
            self._bare_message(read_payload(models.ResponseMessage, value))
        return None

    def _prompt(self, message: models.ResponseMessage | None) -> None:
        """A message that may have no event: what is shown if none follows."""
        text = _prompt_text(message) if message and message.role == "user" else _answer(message)
        if message is None or message.type != "message" or text is None:
            return
        if text.startswith(NOT_FROM_USERS):
            return
        if not text and any(part.type == "input_image" for part in message.content or ()):
            text = "[Image]"
        if text:
            self.metadata.fallback_preview = _text(text, self._longest)
            self._note_needs()

    def _bare_message(self, message: models.ResponseMessage | None) -> None:
        text = _prompt_text(message)
        if message is None or text is None:
            return
        if text.startswith("<environment_context>"):
            # The only place where such a file tells its folder.
            folder = text.partition("<cwd>")[2].partition("</cwd>")[0].strip()
            self.metadata.cwd = self.metadata.cwd or _cwd(folder)
        elif not text.startswith("<user_instructions>"):
            pictures = any(part.type == "input_image" for part in message.content or ())
            self._user_message(text, pictures=pictures, sound=False)


def _prompt_text(message: models.ResponseMessage | None) -> str | None:
    """The text of a message in a user's name; None if it is none."""
    if message is None or message.role != "user":
        return None
    parts = message.content or []
    return "".join(part.text or "" for part in parts if part.type == "input_text").strip()


def _answer(message: models.ResponseMessage | None) -> str | None:
    """The text of an agent's message; None if it is none."""
    if message is None or message.role != "assistant":
        return None
    parts = message.content or []
    return "".join(part.text or "" for part in parts).strip()


def initial_metadata(name: RolloutName, path_id: str | None = None) -> ThreadMetadata:
    """The facts before any line: what the file name gives."""
    facts = ThreadMetadata(id=path_id or name.thread_id or "", sandbox_policy=_DEFAULT_POLICY)
    facts.created_at_ms = name_time_ms(name.started_at or "") or 0
    facts.session_id = facts.id or None
    return facts


def _time_of(line: dict[str, Any]) -> int | None:
    at = line.get("timestamp")
    return time_ms(at) if isinstance(at, str) else None


def _history_mode(meta: models.SessionMeta) -> str:
    if "history_mode" not in meta.model_fields_set:
        return "legacy"
    mode = meta.history_mode
    return _text(mode if isinstance(mode, str) else compact_json(mode) or "unreadable")


def _tools(entries: list[Any] | tuple[()], namespace: str | None = None) -> "list[ToolMetadata]":
    found = []
    for entry in entries:
        tool = read_payload(models.DynamicTool, entry)
        if tool is None or not tool.name:
            continue
        if tool.tools is not None:
            found += _tools(tool.tools, tool.name)
            continue
        found.append(
            ToolMetadata(
                _optional(tool.namespace or namespace),
                _text(tool.name),
                _text(tool.description),
                compact_json(tool.input_schema) or "null",
                bool(tool.defer_loading),
            )
        )
    return found


def _cwd(text: str) -> str:
    return _text(text.rstrip("/") or text[:1])


def _text(value: str | None, longest: int | None = LONGEST_TEXT) -> str:
    if not value:
        return ""
    fits = longest is None or len(value) <= longest
    return value if fits and value.isascii() else _storable(value, longest)


def _optional(value: object) -> str | None:
    return _text(value) if isinstance(value, str) else None


def _storable(text: str, longest: int | None) -> str:
    """``text`` in that length, without lone surrogates, which SQLite does not take."""
    return text[:longest].encode("utf-8", "replace").decode()
