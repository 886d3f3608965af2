"""Reduces the lines of a rollout to the metadata of its thread.

The rules are in docs/rollout-format.md#metadata; where Codex is stricter than it need be, the
value is kept. Every rule is *first wins*, *last wins* or *greatest wins*: taking a line twice in a
row changes nothing, and a pass can continue from the values of a stored row.
"""

from re import Pattern
from typing import Any, Final

from rollout.files.layout import parse_uuid
from rollout.jsonl.parse import BadLine, Item, Line, compact_json, parse_line
from rollout.jsonl.reader import Repeat
from rollout.metadata.model import (
    LONGEST_TEXT,
    SEEN_BARE_META,
    SEEN_META,
    SEEN_PROMPT,
    SEEN_PROVIDER,
    SEEN_START,
    ThreadMetadata,
    ToolMetadata,
)
from rollout.metadata.needs import Needs, repeat_of, skip_pattern
from rollout.metadata.values import (
    MAX_INTEGER,
    folder_of,
    has_image,
    history_mode,
    line_time_ms,
    message_text,
    optional_text,
    text_of,
    tokens_used,
    tools_of,
)
from rollout.schema.kinds import REQUEST_MARKER, is_typed
from rollout.schema.modes import PAGINATED
from rollout.schema.payloads import Fields, array, flag, obj, parts, text, text_or_obj
from rollout.schema.permissions import permission_profile
from rollout.schema.session_source import stored_source, thread_spawn
from rollout.usage.model import FileUsage
from rollout.usage.reducer import UsageReducer

_SPEAKERS: Final = ("user", "assistant")
_WITH_OBJECT: Final = ("event_msg", "turn_context", "session_meta")


class MetadataReducer:
    """Reduces the lines of one rollout, in order, to :class:`ThreadMetadata`.

    With the ``metadata`` and the ``usage`` of an earlier pass it continues where that one ended.
    ``longest`` is how many characters of prompts, sources and policies are kept, which have no
    limit in the file; None keeps all.
    """

    skip: Pattern[bytes]
    """Matches the beginnings of lines that :meth:`apply` does not need."""
    repeat: Repeat | None = None
    """The last ``token_count``, if :meth:`rollout.usage.reducer.UsageReducer.repeat` can stand for
    its repetitions."""

    def __init__(
        self,
        metadata: ThreadMetadata,
        longest: int | None = LONGEST_TEXT,
        usage: FileUsage | None = None,
    ) -> None:
        self.metadata = metadata
        self.usage = UsageReducer(usage)
        self._longest = longest
        self.tools: list[ToolMetadata] | None = None
        """Dynamic tools, if this pass read the session_meta that has them."""
        self.bad_lines = 0
        self.first_bad: BadLine | None = None
        self.usable_lines = 0
        self.left_out = 0
        """Lines of a paginated file that are in no turn, as their ordinal does not follow."""
        self.left_out_at: int | None = None
        """Where the first of them is."""
        self._note_needs()

    def _note_needs(self) -> None:
        metadata = self.metadata
        self._needs_prompt = not (metadata.title and metadata.first_user_message)
        self._needs_preview = not metadata.preview
        self._needs_agent = not metadata.preview and not metadata.fallback_preview
        self._needs_starts = not metadata.flags & SEEN_START
        self._needs_ends = self.usage.needs_ends
        paginated = metadata.history_mode == PAGINATED
        # Only the preview of a legacy thread may come from response items.
        self._needs_responses = self._needs_agent and not paginated
        needs = Needs(
            self._needs_prompt or self._needs_agent,
            self._needs_preview,
            self._needs_responses,
            self._needs_starts,
            self._needs_ends,
            paginated,
        )
        self.skip = skip_pattern(needs)

    def apply(self, line: Line | BadLine) -> bool:
        """Take one line; False if it is blank or unreadable."""
        value = parse_line(line) if isinstance(line, Line) else line
        if value is None or not self.take(value, line.offset):
            return False
        if self.repeat is None and self.usage.repeatable and isinstance(line, Line):
            numbered = self.metadata.history_mode == PAGINATED
            self.repeat = repeat_of(line.data, value, numbered=numbered)
        return True

    def take(self, value: Item | BadLine, offset: int) -> bool:
        """As :meth:`apply`, for a line that was parsed."""
        if isinstance(value, dict):
            problem = self._apply_object(value)
            if problem is None:
                if self.usage.apply(value, offset) or not self.usage.repeatable:
                    self.repeat = None
                if self._needs_ends != self.usage.needs_ends:
                    self._note_needs()
                self.usable_lines += 1
                self._number(value.get("ordinal"), offset)
                return True
            value = BadLine(offset, problem)
        self.bad_lines += 1
        if self.first_bad is None:
            self.first_bad = value
        return False

    def pass_over(self, highest: int, behind: int, behind_at: int) -> None:
        """Note the ordinals of skipped lines: the ``highest`` so far, and how many were ``behind``
        others, the first of them at ``behind_at``."""
        if highest >= self.metadata.next_ordinal:
            self.metadata.next_ordinal = highest + 1
        if behind:
            self._leave_out(behind, behind_at)

    def _number(self, ordinal: object, offset: int) -> None:
        metadata = self.metadata
        if type(ordinal) is int and metadata.next_ordinal <= ordinal < MAX_INTEGER:
            metadata.next_ordinal = ordinal + 1
        else:
            self._leave_out(1, offset)

    def _leave_out(self, count: int, offset: int) -> None:
        if self.metadata.history_mode == PAGINATED:
            self.left_out += count
            if self.left_out_at is None:
                self.left_out_at = offset

    def _apply_object(self, value: dict[str, Any]) -> str | None:
        """What is wrong with the line, if anything."""
        kind = value.get("type")
        payload: Any = value.get("payload")
        if payload is None and "payload" not in value:
            return self._bare_line(value)
        if not isinstance(kind, str):
            return "no type in the envelope"
        if kind in _WITH_OBJECT and not isinstance(payload, dict):
            return f"{kind} without a payload object"
        if kind == "event_msg":
            event = payload.get("type")
            if event == "token_count":
                self._token_count(payload)
            elif event in ("task_started", "turn_started"):
                self._starts(value)
                if self._needs_starts:
                    self.metadata.flags |= SEEN_START
                    self._note_needs()
            elif event == "thread_name_updated":
                self._name(value)
            else:
                self._event(event, payload)
                if event == "user_message" and self._needs_starts:
                    self._prompted(value)
        elif kind == "turn_context":
            self._turn_context(payload)
            if not self.metadata.flags & (SEEN_START | SEEN_PROMPT):
                self._starts(value)
        elif kind == "session_meta":
            self._session_meta(payload)
        elif kind == "response_item" and self._needs_responses:
            self._prompt(obj(payload))
        return None

    def _prompted(self, line: dict[str, Any]) -> None:
        if isinstance(line["payload"].get("message"), str):
            self.metadata.flags |= SEEN_PROMPT
            self._starts(line)

    def _starts(self, line: dict[str, Any]) -> None:
        """Note when a turn starts: since 0.101 an event says so; before that it starts with the
        user's message, and without one with its settings. As for Codex, never earlier than the
        one before."""
        if (at := line_time_ms(line)) is not None and at > self.metadata.recency_at_ms:
            self.metadata.recency_at_ms = at

    def _name(self, line: dict[str, Any]) -> None:
        event = line["payload"]
        name, thread_id = text(event.get("thread_name")), text(event.get("thread_id"))
        if not name or not name.strip():
            return
        if thread_id is not None and parse_uuid(thread_id) != self.metadata.id:
            return  # copied by a fork
        self.metadata.rollout_name = text_of(name.strip())
        self.metadata.rollout_name_ms = line_time_ms(line) or 0

    def _session_meta(self, meta: Fields) -> None:
        metadata, get = self.metadata, meta.get
        if (mode := text(get("memory_mode"))) is not None:
            metadata.memory_mode = text_of(mode)  # of any id, the last one
        thread_id = parse_uuid(get("id"))
        if not metadata.flags & SEEN_META:
            metadata.flags |= SEEN_META
            metadata.id = thread_id or metadata.id
            created = line_time_ms(meta)
            if created is not None:
                metadata.created_at_ms = created
            metadata.originator = optional_text(get("originator"))
            metadata.history_mode = history_mode(meta)
            self._note_needs()
            metadata.session_id = parse_uuid(get("session_id")) or metadata.id
            metadata.forked_from_id = parse_uuid(get("forked_from_id"))
            if isinstance(base := get("history_base"), dict):
                metadata.history_base = compact_json(base)
            if flag(get("attached_thread")):
                metadata.attached_thread_parent_id = metadata.forked_from_id
            self.tools = tools_of(get("dynamic_tools"))
        elif thread_id != metadata.id:
            return  # copied by a fork
        metadata.source = text_of(stored_source(text_or_obj(get("source"))), self._longest)
        spawn = thread_spawn(metadata.source) or {}
        metadata.parent_thread_id = parse_uuid(get("parent_thread_id")) or parse_uuid(
            spawn.get("parent_thread_id")
        )
        metadata.thread_source = optional_text(get("thread_source"))
        role = text(get("agent_role")) or text(get("agent_type")) or spawn.get("agent_role")
        nickname = text(get("agent_nickname")) or spawn.get("agent_nickname")
        metadata.agent_role, metadata.agent_nickname = optional_text(role), optional_text(nickname)
        metadata.agent_path = optional_text(text(get("agent_path")) or spawn.get("agent_path"))
        if provider := text(get("model_provider")):
            metadata.model_provider = text_of(provider)
            metadata.flags |= SEEN_PROVIDER
        if (version := text(get("cli_version"))) is not None:
            metadata.cli_version = text_of(version)
        if cwd := text(get("cwd")):
            metadata.cwd = folder_of(cwd)
        if isinstance(git := get("git"), dict):
            metadata.git_sha = optional_text(git.get("commit_hash"))
            metadata.git_branch = optional_text(git.get("branch"))
            metadata.git_origin_url = optional_text(git.get("repository_url"))

    def _turn_context(self, turn: Fields) -> None:
        metadata = self.metadata
        cwd, named = text(turn.get("cwd")), text(turn.get("model"))
        if cwd and not metadata.cwd:
            metadata.cwd = folder_of(cwd)
        if named is not None:
            metadata.model = text_of(named)
        metadata.reasoning_effort = optional_text(turn.get("effort"))
        self._policies(turn, cwd or metadata.cwd)

    def _policies(self, line: Fields, cwd: str) -> None:
        policy = text_or_obj(line.get("approval_policy"))
        if policy is not None:
            if policy == "on-failure":
                policy = "on-request"  # as Codex reads it today
            self.metadata.approval_mode = text_of(
                policy if isinstance(policy, str) else compact_json(policy)
            )
        profile, old = line.get("permission_profile"), line.get("sandbox_policy")
        if not isinstance(profile, dict):
            profile = permission_profile(old, cwd) if isinstance(old, dict) else None
        if profile is not None:
            self.metadata.sandbox_policy = text_of(compact_json(profile), self._longest)

    def _event(self, kind: object, payload: dict[str, Any]) -> None:
        if kind == "user_message":
            self._user_message(
                text(payload.get("message")) or "",
                pictures=bool(array(payload.get("images")) or array(payload.get("local_images"))),
                sound=bool(array(payload.get("audio")) or array(payload.get("local_audio"))),
            )
        elif kind == "agent_message":
            if self._needs_agent:
                self._agent_message(payload.get("message"))
        elif kind == "item_completed":
            if self._needs_prompt or self._needs_agent:
                self._item(obj(payload.get("item")))
        elif kind == "thread_settings_applied":
            if isinstance(settings := payload.get("thread_settings"), dict):
                self._settings(settings)
        elif kind == "thread_goal_updated" and self._needs_preview:
            objective = text(obj(payload.get("goal")).get("objective"))
            if objective:
                self.metadata.preview = text_of(objective, self._longest)
                self.metadata.fallback_preview = ""
                self._note_needs()

    def _item(self, item: Fields) -> None:
        found, kind = parts(item.get("content")), item.get("type")
        said = "".join(said for kind, said in found if kind.lower() == "text")
        if kind == "UserMessage":
            kinds = {kind for kind, _ in found}
            self._user_message(
                said,
                pictures=not kinds.isdisjoint({"image", "local_image"}),
                sound=not kinds.isdisjoint({"audio", "local_audio", "skill", "mention"}),
            )
        elif kind == "AgentMessage" and self._needs_agent:
            self._agent_message(said)

    def _user_message(self, message: str, *, pictures: bool, sound: bool) -> None:
        metadata = self.metadata
        marker = message.find(REQUEST_MARKER)
        if marker >= 0:
            message = message[marker + len(REQUEST_MARKER) :]
        said = text_of(message.strip(), self._longest)
        shown = said or ("[Image]" if pictures else "")
        if shown:
            metadata.first_user_message = metadata.first_user_message or shown
            metadata.preview = metadata.preview or shown
            metadata.fallback_preview = ""
            metadata.title = metadata.title or said
        elif sound and self._needs_agent:
            metadata.fallback_preview = "[Attachment]"
        if self._needs_prompt or self._needs_preview:
            self._note_needs()

    def _agent_message(self, message: object) -> None:
        if isinstance(message, str) and message.strip():
            self.metadata.fallback_preview = text_of(message.strip())
            self._note_needs()

    def _settings(self, settings: Fields) -> None:
        metadata, get = self.metadata, settings.get
        if cwd := text(get("cwd")):
            metadata.cwd = folder_of(cwd)
        if (named := text(get("model"))) is not None:
            metadata.model = text_of(named)
        if provider := text(get("model_provider_id")):
            metadata.model_provider = text_of(provider)
            metadata.flags |= SEEN_PROVIDER
        metadata.reasoning_effort = optional_text(get("reasoning_effort"))
        self._policies(settings, metadata.cwd)

    def _token_count(self, payload: dict[str, Any]) -> None:
        total = tokens_used(payload.get("info"))
        if total is not None:
            self.metadata.tokens_used = total

    def _bare_line(self, value: dict[str, Any]) -> str | None:
        """A line of the bare era, up to 0.29: no envelope. Codex lists none of these."""
        flags = self.metadata.flags
        if not flags & SEEN_META and "type" not in value and "timestamp" in value:
            if parse_uuid(value.get("id")) is None:
                return "metadata without an id"
            self._session_meta(value)
            self.metadata.flags |= SEEN_BARE_META
            return None
        if not flags & SEEN_BARE_META:
            return "no payload in the envelope"
        if value.get("type") == "message" and self._needs_prompt:
            self._bare_message(value)
        return None

    def _prompt(self, message: Fields) -> None:
        """Show a message that may have no event, unless one follows."""
        if message.get("type") != "message" or message.get("role") not in _SPEAKERS:
            return
        said = message_text(message)
        if not is_typed(said):
            return
        if not said and has_image(message):
            said = "[Image]"
        if said:
            self.metadata.fallback_preview = text_of(said, self._longest)
            self._note_needs()

    def _bare_message(self, message: Fields) -> None:
        if message.get("role") != "user":
            return
        said = message_text(message)
        if said.startswith("<environment_context>"):
            # The only place where such a file has its folder.
            folder = said.partition("<cwd>")[2].partition("</cwd>")[0].strip()
            self.metadata.cwd = self.metadata.cwd or folder_of(folder)
        elif is_typed(said):
            self._user_message(said, pictures=has_image(message), sound=False)
